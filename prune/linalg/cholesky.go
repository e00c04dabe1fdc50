package linalg

import "math"

// choleskyWhole is the most rows that are factored element by element.
const choleskyWhole = aligned

// Cholesky replaces the symmetric matrix a [n,n], of which it reads the lower
// triangle, by the lower triangle L with a = L·Lᵀ and zeros above. It is false
// where a is not positive definite, or not finite; a then holds anything.
//
// Each element is one chain: l_ij = (a_ij - l_i0·l_j0 - … - l_i,j-1·l_j,j-1) / l_jj.
func Cholesky(a Matrix) bool { return machine().cholesky(a) }

func (e engine) cholesky(a Matrix) bool {
	a.want("a", a.Rows, a.Rows)
	if !e.factor(a.view()) {
		return false
	}
	for i := range a.Rows {
		clear(a.Row(i)[i+1:])
	}
	return true
}

// factor is recursive: the upper half, the rows below it, what is left.
func (e engine) factor(a view) bool {
	if a.rows <= choleskyWhole {
		return factorWhole(a)
	}
	h := half(a.rows)
	rest := a.rows - h
	upper, below, left := a.part(0, 0, h, h), a.part(h, 0, rest, h), a.part(h, h, rest, rest)
	if !e.factor(upper) {
		return false
	}
	e.solveLower(upper, below.transpose())
	e.addLower(left, -1, below, below.transpose())
	return e.factor(left)
}

func factorWhole(a view) bool {
	for i := range a.rows {
		row := a.data[a.index(i, 0):]
		for j := range i {
			row[j] = without(row[j], row[:j], a.data[a.index(j, 0):]) / a.data[a.index(j, j)]
		}
		d := without(row[i], row[:i], row)
		if !(d > 0 && d <= math.MaxFloat64) { // NaN too
			return false
		}
		row[i] = math.Sqrt(d)
	}
	return true
}

// without is s - Σ a_k·b_k.
func without(s float64, a, b []float64) float64 {
	b = b[:len(a)]
	for k, x := range a {
		s = math.FMA(-x, b[k], s)
	}
	return s
}
