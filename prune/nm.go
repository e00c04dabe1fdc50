package prune

import (
	"math"

	"etc/prune/linalg"
)

// NM makes matrices 2:4 sparse: of every four inputs of an output, two go. A
// matrix goes whole or not at all, those first that lose the smallest part of
// their energy; all of them are a sparsity of one half.
var NM = structure{"nm", "2 of every 4 inputs of an output", "obs", func(e *Edit) {
	losses := make([]float64, len(e.matrices))
	masks := make([][]bool, len(e.matrices))
	for i, m := range e.matrices {
		masks[i], losses[i] = e.mask24(m)
	}
	order := ascending(losses)
	e.dials = append(e.dials, &dial{all(len(order)), "nm", nil, func(rank int) {
		e.matrices[order[rank]].entries = masks[order[rank]]
	}, nil})
}}

// nmSize entries of a row are a group, of which nmKept stay. A shorter group
// at the end keeps as many.
const nmSize, nmKept = 4, 2

// mask24 marks the entries of m that go, and returns the part of its energy
// that they are.
func (e *Edit) mask24(m *matrix) (goes []bool, loss float64) {
	goes = make([]bool, m.n*m.k)
	if e.criterion.surgeon {
		w := m.dense()
		sweep(w, m.covariance(), func(i, j int) bool { return goes[i*m.k+j] }, func(j int, w linalg.Matrix, pivot []float64) {
			if j%nmSize != 0 {
				return
			}
			for i := range w.Rows {
				of := make([]float64, min(nmSize, m.k-j))
				for c := range of {
					x := w.At(i, j+c) / pivot[j+c]
					of[c] = float64(x * x)
				}
				mark24(of, goes[i*m.k+j:])
			}
		})
	} else {
		for i := range m.n {
			energies := m.alone(i)
			for j := 0; j < m.k; j += nmSize {
				mark24(energies[j:min(j+nmSize, m.k)], goes[i*m.k+j:])
			}
		}
	}
	lost, total := 0.0, 0.0
	for i := range m.n {
		for j, energy := range m.alone(i) {
			total += energy
			if goes[i*m.k+j] {
				lost += energy
			}
		}
	}
	if total == 0 {
		return goes, 0
	}
	return goes, lost / total
}

// mark24 marks of a group's entries those that go.
func mark24(scores []float64, goes []bool) {
	order := ascending(scores)
	for _, c := range order[:max(0, len(order)-nmKept)] {
		goes[c] = true
	}
}

// sweep is SparseGPT (Frantar and Alistarh, 2023): column after column of
// W [n,k], what an entry that goes leaves undone is taken over by the columns
// to the right, as the upper Cholesky factor U of H⁻¹ says:
//
//	W_i,j+1.. ← W_i,j+1.. − W_ij/U_jj · U_j,j+1..
//
// look, if not nil, sees W before column j is done, with the diagonal of U. In
// W, entries that went are 0 afterwards.
func sweep(w, h linalg.Matrix, goes func(i, j int) bool, look func(j int, w linalg.Matrix, pivot []float64)) {
	u := upperInverse(h)
	pivot := make([]float64, w.Cols)
	for j := range pivot {
		pivot[j] = u.At(j, j)
	}
	const block = 64 // columns that are done before the rest hears of it
	for from := 0; from < w.Cols; from += block {
		to := min(from+block, w.Cols)
		errors := linalg.New(w.Rows, to-from)
		for j := from; j < to; j++ {
			if look != nil {
				look(j, w, pivot)
			}
			for i := range w.Rows {
				if !goes(i, j) {
					continue
				}
				e := w.At(i, j) / pivot[j]
				errors.Set(i, j-from, e)
				row, of := w.Row(i), u.Row(j)
				row[j] = 0
				for c := j + 1; c < to; c++ {
					row[c] = math.FMA(-e, of[c], row[c])
				}
			}
		}
		rest, rows := columnsFrom(w, to), columnsFrom(u, to)
		rows.Data, rows.Rows = u.Data[from*u.Stride+to:], to-from
		if rest.Cols > 0 {
			linalg.AddProduct(rest, -1, errors, rows, false, false)
		}
	}
}

// columnsFrom is a view.
func columnsFrom(m linalg.Matrix, first int) linalg.Matrix {
	if first >= m.Cols {
		return linalg.Matrix{Rows: m.Rows, Stride: m.Stride}
	}
	return linalg.Matrix{Rows: m.Rows, Cols: m.Cols - first, Stride: m.Stride, Data: m.Data[first:]}
}

// upperInverse is the upper U with Uᵀ·U = H⁻¹, H damped.
func upperInverse(h linalg.Matrix) linalg.Matrix {
	return transposed(damped(linalg.InvertCholesky(damped(h, damping)), 0))
}
