package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/prune/linalg"
)

// normals is a matrix of independent normal numbers.
func normals(rng *rand.Rand, rows, cols int) linalg.Matrix {
	m := linalg.New(rows, cols)
	for i := range m.Data {
		m.Data[i] = rng.NormFloat64()
	}
	return m
}

// correlated is a covariance of k inputs, each a mixture of all.
func correlated(rng *rand.Rand, k int) linalg.Matrix {
	h := linalg.New(k, k)
	linalg.AddProduct(h, 1.0/float64(k), normals(rng, k, 2*k), normals(rng, 2*k, k), false, false)
	x, c := h, linalg.New(k, k)
	linalg.AddProduct(c, 1, x, x, true, false)
	return c
}

// gauss solves a·x = b by elimination with pivots, with nothing of linalg.
func gauss(a, b linalg.Matrix) linalg.Matrix {
	a, b = a.Clone(), b.Clone()
	for c := range a.Rows {
		pivot := c
		for i := c + 1; i < a.Rows; i++ {
			if math.Abs(a.At(i, c)) > math.Abs(a.At(pivot, c)) {
				pivot = i
			}
		}
		for _, m := range []linalg.Matrix{a, b} {
			for j := range m.Cols {
				x, y := m.At(c, j), m.At(pivot, j)
				m.Set(c, j, y)
				m.Set(pivot, j, x)
			}
		}
		for i := range a.Rows {
			if i == c {
				continue
			}
			f := a.At(i, c) / a.At(c, c)
			for _, m := range []linalg.Matrix{a, b} {
				for j := range m.Cols {
					m.Set(i, j, m.At(i, j)-f*m.At(c, j))
				}
			}
		}
	}
	for i := range b.Rows {
		for j := range b.Cols {
			b.Set(i, j, b.At(i, j)/a.At(i, i))
		}
	}
	return b
}

// ridged is h + part·mean(diag h)·I.
func ridged(h linalg.Matrix, part float64) linalg.Matrix {
	h = h.Clone()
	add := 0.0
	for j := range h.Rows {
		add += part * h.At(j, j) / float64(h.Rows)
	}
	for j := range h.Rows {
		h.Set(j, j, h.At(j, j)+add)
	}
	return h
}

// lossOf is what the outputs of w [n,k] lose when the inputs gone are missing
// and the others do the best they can: the least of tr(E·H·Eᵀ), E being what
// changes.
func lossOf(w, h linalg.Matrix, gone []int) float64 {
	gone = sorted(gone)
	stay := without(w.Cols, gone)
	e := w.Clone()
	if len(stay) > 0 { // Ŵ_S = W·H_:S·(H_SS)⁻¹
		hs := linalg.Select(h, stay, nil)
		right := linalg.New(len(stay), w.Rows)
		for s := range stay {
			for i := range w.Rows {
				for j, x := range w.Row(i) {
					right.Set(s, i, right.At(s, i)+hs.At(s, j)*x)
				}
			}
		}
		best := gauss(linalg.Select(h, stay, stay), right)
		for s, j := range stay {
			for i := range w.Rows {
				e.Set(i, j, e.At(i, j)-best.At(s, i))
			}
		}
	}
	loss := 0.0
	for i := range e.Rows {
		for a, x := range e.Row(i) {
			for b, y := range e.Row(i) {
				loss += x * h.At(a, b) * y
			}
		}
	}
	return loss
}

func near(a, b, tol float64) bool {
	return math.Abs(a-b) <= tol*max(1, math.Abs(a), math.Abs(b))
}

// TestSurgeonTakesTheDuplicate: inputs 0 and 2 say nearly the same and weigh
// most, 1 is independent and weighs less. One of the two goes first, for the
// other can take over; after that the independent one is what costs least.
func TestSurgeonTakesTheDuplicate(t *testing.T) {
	w := linalg.Matrix{Rows: 1, Cols: 3, Stride: 3, Data: []float64{3, 1, 2.9}}
	h := linalg.Matrix{Rows: 3, Cols: 3, Stride: 3, Data: []float64{1, 0, 0.999, 0, 1, 0, 0.999, 0, 1}}
	order, loss := newSurgery(w, h).order(1, 1, 0)
	if !slices.Equal(order[0], []int{2, 1, 0}) {
		t.Errorf("order %v, want 2, which 0 takes over, then 1, then 0", order[0])
	}
	if loss[1] > 0.01 || loss[2] < 0.02 || !near(loss[3], 1, 0.01) {
		t.Errorf("lost %v", loss)
	}
	if first := ascending([]float64{9, 1, 2.9 * 2.9})[0]; first != 1 {
		t.Fatalf("by energy alone %d would go first: the example shows nothing", first)
	}
}

// TestSurgeryIsLeastSquares: what order says is lost, and what it finds
// cheapest at each look, is what least squares for the inputs that stay say.
func TestSurgeryIsLeastSquares(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ lanes, size, perLane, stay int }{
		{1, 1, 6, 0}, {1, 1, 7, 2}, {1, 2, 4, 1}, {3, 1, 3, 0}, {2, 3, 3, 1}, {2, 1, 5, 0},
	} {
		k := c.lanes * c.size * c.perLane
		w, h := normals(rng, 4, k), correlated(rng, k)
		exact, total := ridged(h, damping), lossOf(w, h, span(0, k))
		order, loss := newSurgery(w, h).order(c.lanes, c.size, c.stay)
		if len(order) != c.lanes || len(loss) != c.perLane-c.stay+1 || loss[0] != 0 {
			t.Fatalf("%+v: order %v, lost %v", c, order, loss)
		}
		var gone []int
		for step := range c.perLane - c.stay {
			before := lossOf(w, exact, gone)
			var now []int
			for lane := range c.lanes {
				costs := map[int]float64{}
				for g := range c.perLane {
					if slices.Contains(order[lane][:step], g) {
						continue
					}
					unit := span((lane*c.perLane+g)*c.size, c.size)
					costs[g] = lossOf(w, exact, slices.Concat(gone, unit)) - before
				}
				chosen := order[lane][step]
				price, left := costs[chosen]
				if !left {
					t.Fatalf("%+v: order %v repeats", c, order)
				}
				for g, cost := range costs {
					if cost < price-1e-9*total {
						t.Errorf("%+v: lane %d, look %d: %d goes for %v, but %d costs %v", c, lane, step, chosen, price, g, cost)
					}
				}
				now = append(now, span((lane*c.perLane+chosen)*c.size, c.size)...)
			}
			gone = append(gone, now...)
			if want := min(1, lossOf(w, exact, gone)/total); !near(loss[step+1], want, 1e-8) {
				t.Errorf("%+v: lost %v of the outputs after %v, want %v", c, loss[step+1], gone, want)
			}
		}
	}
}

// TestCostsOfSurgery: one input and several, before and after others went.
func TestCostsOfSurgery(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	const k = 7
	w, h := normals(rng, 3, k), correlated(rng, k)
	exact := ridged(h, damping)
	s := newSurgery(w, h)
	var gone []int
	for _, next := range [][]int{{1, 4}, {0}, {2, 3}} { // places among those left
		for _, places := range [][]int{{0}, {1}, {0, 1}} {
			var all []int
			for _, p := range places {
				all = append(all, s.left[p])
			}
			want := lossOf(w, exact, slices.Concat(gone, all)) - lossOf(w, exact, gone)
			if got := s.cost(places); !near(got, want, 1e-8) {
				t.Errorf("without %v, %v cost %v, want %v", gone, all, got, want)
			}
		}
		for _, p := range next {
			gone = append(gone, s.left[p])
		}
		s.remove(next)
		if !slices.Equal(s.left, without(k, sorted(gone))) || !near(s.lost, lossOf(w, exact, gone), 1e-8) {
			t.Fatalf("left %v, lost %v, want %v", s.left, s.lost, lossOf(w, exact, gone))
		}
	}
}

// TestManyInputsGoAFewAtATime: with more than two times fastest some looks
// take several; each still goes once, and losses ascend.
func TestManyInputsGoAFewAtATime(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	const k, stay = 4 * fastest, 16
	w, h := normals(rng, 2, k), correlated(rng, k)
	order, loss := newSurgery(w, h).order(1, 1, stay)
	if len(order[0]) != k-stay || len(loss) != k-stay+1 || len(slices.Compact(sorted(order[0]))) != k-stay {
		t.Fatalf("%d of %d go, lost %d numbers", len(order[0]), k, len(loss))
	}
	if !slices.IsSorted(loss) {
		t.Errorf("losses do not ascend: %v", loss)
	}
	if step := loss[2] - loss[1]; !near(step/loss[1], 1, 1e-6) {
		t.Errorf("lost %v by the second of one look, want %v as by the first", step, loss[1])
	}
	gone := 0
	for left := k; gone < len(loss)-1; left = k - gone { // a look takes a part of what is left
		look := 1
		for gone+look < len(loss)-1 && near((loss[gone+look+1]-loss[gone+look])/(loss[gone+1]-loss[gone]), 1, 1e-6) {
			look++
		}
		if look > max(1, left/fastest) {
			t.Errorf("%d of %d that are left go at one look", look, left)
		}
		gone += look
	}
	want := lossOf(w, ridged(h, damping), order[0]) / lossOf(w, h, span(0, k))
	if !near(loss[k-stay], min(1, want), 1e-7) {
		t.Errorf("lost %v in the end, want %v", loss[k-stay], want)
	}
}

// TestConstantInputsGoFirst, whatever they weigh, and cost nothing.
func TestConstantInputsGoFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	w, h := normals(rng, 3, 5), correlated(rng, 5)
	for i := range 5 {
		h.Set(i, 2, 0)
		h.Set(2, i, 0)
	}
	w.Set(1, 2, 1e3)
	if order, loss := newSurgery(w, h).order(1, 1, 0); order[0][0] != 2 || loss[1] != 0 || loss[2] == 0 {
		t.Errorf("order %v, lost %v, want 2 first, for nothing", order, loss)
	}
}

// TestDampingIsNoMoreThanNeeded: the factor of a matrix that is only just not
// positive is that of a matrix next to it.
func TestDampingIsNoMoreThanNeeded(t *testing.T) {
	h := linalg.New(4, 4) // of rank one
	for i := range 4 {
		for j := range 4 {
			h.Set(i, j, float64((i+1)*(j+1)))
		}
	}
	l, back := damped(h, 0), linalg.New(4, 4)
	linalg.AddProduct(back, 1, l, l, false, true)
	for i, x := range back.Data {
		if !near(x, h.Data[i], 1e-9) {
			t.Errorf("entry %d is %v, want %v", i, x, h.Data[i])
		}
	}
}

// TestSurgeryOfNothing: inputs that never vary cost nothing.
func TestSurgeryOfNothing(t *testing.T) {
	order, loss := newSurgery(normals(rand.New(rand.NewPCG(4, 1)), 2, 3), linalg.New(3, 3)).order(1, 1, 0)
	if len(order[0]) != 3 || slices.Max(loss) != 0 {
		t.Errorf("order %v, lost %v", order, loss)
	}
}
