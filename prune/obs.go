package prune

import (
	"math"

	"etc/prune/linalg"
)

// A surgery removes inputs of a product y = W·x in the order of the optimal
// brain surgeon: next goes what the outputs miss least when the inputs that
// stay take over what they can. With A = H⁻¹, H the covariance of the inputs,
// removing a set P costs tr(W_P·(A_PP)⁻¹·W_Pᵀ) of the outputs' variance, and
//
//	W ← W − W_P·(A_PP)⁻¹·A_P,   A ← A − A_P'·(A_PP)⁻¹·A_P
//
// Removing a little and looking again is what sees that two inputs say the
// same. Sources: Frantar and Alistarh, Optimal Brain Compression (2022); Kurtic
// et al., ZipLM (2023), for structures.
type surgery struct {
	w     linalg.Matrix // [k,n]: a row for each input that is left
	a     linalg.Matrix // [k,k]
	left  []int         // which inputs those are
	total float64       // variance of the outputs
	lost  float64       // so far
}

// damping is added to the diagonal of H, as a part of its mean.
const damping = 0.01

// newSurgery takes copies of W [n,k] and H [k,k].
func newSurgery(w, h linalg.Matrix) *surgery {
	s := &surgery{w: transposed(w), left: span(0, w.Cols)}
	for j := range w.Cols {
		if h.At(j, j) == 0 { // a constant input adds nothing to the variance, whatever the damping
			clear(s.w.Row(j))
		}
	}
	s.total = varianceOf(s.w, h)
	s.a = linalg.InvertCholesky(damped(h, damping))
	return s
}

// varianceOf is that of the outputs together, w [k,n] and h [k,k] of the inputs.
func varianceOf(w, h linalg.Matrix) float64 {
	hw := linalg.New(w.Rows, w.Cols)
	linalg.AddProduct(hw, 1, h, w, false, false)
	return dot(hw, w)
}

// damped is the Cholesky factor of H + λ·mean(diag H)·I, with more where that
// is not positive.
func damped(h linalg.Matrix, lambda float64) linalg.Matrix {
	mean := trace(h) / float64(max(1, h.Rows))
	if !(mean > 0) { // all inputs are constant, or there is none
		mean, lambda = 1, 1
	}
	const least, most = 1e-12, 1e12
	for ; lambda < most; lambda = max(least, 10*lambda) {
		l := h.Clone()
		for j := range l.Rows {
			l.Set(j, j, l.At(j, j)+lambda*mean)
		}
		if linalg.Cholesky(l) {
			return l
		}
	}
	panic("bug: prune: a covariance that is not finite")
}

// cost is what removing the inputs at these places would lose.
func (s *surgery) cost(places []int) float64 {
	if len(places) == 1 {
		j := places[0]
		return max(0, square(s.w.Row(j))/s.a.At(j, j))
	}
	wp := linalg.Select(s.w, places, nil)
	x := wp.Clone()
	linalg.SolveCholesky(damped(linalg.Select(s.a, places, places), 0), x)
	return max(0, dot(x, wp))
}

// remove takes the inputs at these ascending places out.
func (s *surgery) remove(places []int) {
	s.lost += s.cost(places)
	wp, ap := linalg.Select(s.w, places, nil), linalg.Select(s.a, places, nil)
	x := ap.Clone() // (A_PP)⁻¹·A_P
	linalg.SolveCholesky(damped(linalg.Select(s.a, places, places), 0), x)
	linalg.AddProduct(s.w, -1, x, wp, true, false)
	linalg.AddProduct(s.a, -1, ap, x, true, false)
	stay := without(len(s.left), places)
	s.w, s.a = linalg.Select(s.w, stay, nil), linalg.Select(s.a, stay, stay)
	for i, at := range stay {
		s.left[i] = s.left[at]
	}
	s.left = s.left[:len(stay)]
}

// share is the part of the outputs' variance that is lost.
func (s *surgery) share() float64 {
	if s.total == 0 {
		return 0
	}
	return math.Min(1, s.lost/s.total)
}

// fastest is the part of what is left that goes between two looks.
const fastest = 40

// order removes groups of inputs, all of one size and next to each other in
// lanes of so many groups; of each lane goes the same number. It returns for
// each lane its groups in the order they go, all but those that stay, and
// what is lost after each: loss[0] is 0. Groups are numbered within a lane.
func (s *surgery) order(lanes, size, stay int) (order [][]int, loss []float64) {
	perLane := len(s.left) / size / lanes
	order = make([][]int, lanes)
	loss = []float64{0}
	for gone := 0; gone < perLane-stay; {
		c := min(max(1, (perLane-gone)/fastest), perLane-stay-gone)
		before := s.share()
		var places []int
		for lane := range lanes {
			first := lane * (perLane - gone) * size // lanes have shrunk alike
			costs := make([]float64, perLane-gone)
			for g := range costs {
				costs[g] = s.cost(span(first+g*size, size))
			}
			chosen := ascending(costs)[:c]
			for _, g := range chosen {
				order[lane] = append(order[lane], s.left[first+g*size]/size-lane*perLane)
			}
			for _, g := range sorted(chosen) {
				places = append(places, span(first+g*size, size)...)
			}
		}
		s.remove(places)
		for i := range c { // in between it grows evenly
			loss = append(loss, before+(s.share()-before)*float64(i+1)/float64(c))
		}
		gone += c
	}
	return order, loss
}
