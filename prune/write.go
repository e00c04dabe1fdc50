package prune

import (
	"bytes"
	"slices"

	"etc/ir"
	"etc/ir/tensor"
	"etc/prune/linalg"
)

// A Calibrate runs calibration rows through g, pruned so far, and through the
// dense model, and shows p what it wants.
type Calibrate func(g *ir.Graph, p *Pass) error

// writeMatrix replaces the weight and the bias of linear, m's own or its clone,
// by a fit of what products read by now; where that is nil, at once.
func (e *Edit) writeMatrix(linear *ir.Op, l *sublayer, m *matrix, f *fit) Record {
	r := Record{Weight: m.name, Block: m.block, Shape: [2]int{m.n, m.k}, Mask: m.mask.encode()}
	if m.untouched() && (f == nil || f.way != toWhole) {
		m.restore(linear)
		return r
	}
	old, b := e.unpruned(l, m)
	w := old.Clone()
	var a *aim
	switch {
	case e.criterion.repair == noRepair || m.seen == nil && len(m.constants) == 0:
	case f == nil:
		a = &aim{mean: m.mean}
		if patterns := m.patterns(false); e.criterion.repair == leastSquares && m.seen != nil && len(patterns) > 0 {
			a.h = m.covariance()
			w = m.solve(old, damping, patterns, a)[0]
			r.Lambda, r.Target = damping, atOnce
		}
	default:
		a, r.Lambda, r.Target = f.aim, f.lambda, f.way
		w = m.solve(old, f.lambda, f.patterns, a)[0]
	}
	e.store(linear, m, &r, old, w, b, a)
	return r
}

// unpruned is the dense weight and bias of m: of queries those that have taken
// over what their features that go leave to them.
func (e *Edit) unpruned(l *sublayer, m *matrix) (w linalg.Matrix, b []float64) {
	w, b = m.dense(), m.denseBias()
	if e.criterion.repair == leastSquares && m.seen != nil && l.attention != nil && m == l.q {
		l.mixQueries(w, b)
	}
	return w, b
}

// restore puts the dense weight and bias back, as they lie.
func (m *matrix) restore(linear *ir.Op) {
	setData(linear.Arg("w"), m.w)
	if m.biased {
		setData(linear.Arg("b"), m.b)
	}
}

// untouched tells whether nothing goes of m, and nothing of it is zero, not even −0.
func (m *matrix) untouched() bool {
	return m.entries == nil && m.noZeros() && !slices.Contains(m.rows, true) && !slices.Contains(m.unread, true) && !slices.Contains(m.columns, true)
}

// store rounds w to the dtype of the weight, makes zeros of what goes, refits
// the bias to what is left, and counts.
func (e *Edit) store(linear *ir.Op, m *matrix, r *Record, old, w linalg.Matrix, b []float64, a *aim) {
	goes, kept := make([]bool, m.k), make([]int, m.k)
	data := bytes.Clone(m.w.Data)
	size := m.w.DType.Size()
	for i := range m.n {
		m.goes(i, goes)
		row, was := w.Row(i), m.row(i)
		changed := tensor.FromFloat64s([]int{m.k}, row).Convert(m.w.DType)
		stored := changed.Float64s() // what is less than the dtype can tell from zero is +0 too
		zeros := 0
		for j, z := range goes {
			place := data[(i*m.k+j)*size : (i*m.k+j+1)*size]
			switch {
			case z || was[j] == 0 || stored[j] == 0:
				clear(place)
			case row[j] != was[j]:
				copy(place, changed.Data[j*size:(j+1)*size])
			}
			if allZero(place) {
				zeros++
			} else {
				kept[j]++
			}
		}
		if zeros == m.k {
			r.Rows++
		}
		r.Zeros += zeros
	}
	for _, n := range kept {
		if n == 0 {
			r.Columns++
		}
	}
	m.restore(linear)
	rounded := tensor.Tensor{DType: m.w.DType, Shape: m.w.Shape, Data: data}
	if !bytes.Equal(data, m.w.Data) {
		setData(linear.Arg("w"), rounded)
	}
	if !m.biased {
		return
	}
	if a != nil {
		b = a.refit(old, b, linalg.Matrix{Rows: m.n, Cols: m.k, Stride: m.k, Data: rounded.Float64s()})
	}
	for i, gone := range m.unread {
		if gone {
			b[i] = 0
		}
	}
	if refitted := tensor.FromFloat64s([]int{m.n}, b).Convert(m.b.DType); !slices.Equal(b, m.denseBias()) {
		setData(linear.Arg("b"), refitted)
	}
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func setData(v *ir.Value, t tensor.Tensor) { v.Def.Attrs.(*ir.WeightAttrs).Data = t }
