package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etc/ir"
	"etc/prune/linalg"
)

// inverseFrom is the first row of the inverse of H over the columns from j on,
// by elimination.
func inverseFrom(h linalg.Matrix, j int) []float64 {
	rest := span(j, h.Rows-j)
	first := linalg.New(len(rest), 1)
	first.Set(0, 0, 1)
	return gauss(linalg.Select(h, rest, rest), first).Data
}

// TestSweepIsTheSurgeon: column after column, what an entry that goes leaves
// undone is taken over by the columns to the right, as the inverse of H over
// what is not done yet says (SparseGPT, equation 3). More than a block of columns.
func TestSweepIsTheSurgeon(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 13))
	const n, k = 3, 70
	w, h := normals(rng, n, k), correlated(rng, k)
	goes := make([]bool, n*k)
	for i := range goes {
		goes[i] = rng.IntN(3) == 0
	}
	want, exact := w.Clone(), ridged(h, damping)
	for j := range k {
		inverse := inverseFrom(exact, j)
		for i := range n {
			if !goes[i*k+j] {
				continue
			}
			e := want.At(i, j) / inverse[0]
			for c := range inverse {
				want.Set(i, j+c, want.At(i, j+c)-e*inverse[c])
			}
		}
	}
	sweep(w, h, func(i, j int) bool { return goes[i*k+j] }, nil)
	for i := range n {
		for j, x := range w.Row(i) {
			if !near(x, want.At(i, j), 1e-8) || goes[i*k+j] && x != 0 {
				t.Errorf("entry (%d,%d) is %v, want %v", i, j, x, want.At(i, j))
			}
		}
	}
}

// TestMaskOfTheSurgeon: of each four inputs those two go that cost least, by
// the weights as they are when the sweep comes to them.
func TestMaskOfTheSurgeon(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 13))
	const n, k = 6, 18 // a short group at the end
	m := product(rng, n, k, true)
	m.see(tokens(rng, 100, k))
	m.worth = make([]float64, k)
	w, exact := m.dense(), ridged(m.covariance(), damping)
	want, byWeight := make([]bool, n*k), 0
	for from := 0; from < k; from += 4 {
		for i := range n {
			costs := make([]float64, min(4, k-from))
			for c := range costs {
				costs[c] = w.At(i, from+c) * w.At(i, from+c) / inverseFrom(exact, from+c)[0]
			}
			order := ascending(costs)
			for _, c := range order[:len(costs)-2] {
				want[i*k+from+c] = true
			}
			for j := from; j < from+len(costs); j++ {
				costs[j-from] = square(w.Row(i)[j : j+1])
			}
			if !slices.Equal(order, ascending(costs)) {
				byWeight++
			}
			for j := from; j < from+len(costs); j++ {
				if !want[i*k+j] {
					continue
				}
				inverse := inverseFrom(exact, j)
				e := w.At(i, j) / inverse[0]
				for c := range inverse {
					w.Set(i, j+c, w.At(i, j+c)-e*inverse[c])
				}
			}
		}
	}
	got, _ := (&Edit{criterion: &Criteria[0]}).mask24(m)
	if !slices.Equal(got, want) {
		t.Errorf("%v goes, want %v", got, want)
	}
	if byWeight == 0 {
		t.Error("weights alone have the same order: the example shows nothing")
	}
}

// TestMatricesGoByThePartTheyLose, the smallest first, whatever their scale;
// one of zeros loses nothing.
func TestMatricesGoByThePartTheyLose(t *testing.T) {
	g := encoder()
	scale := func(name string, by float64) {
		for _, op := range g.Ops {
			if op.Kind != ir.Linear || op.Arg("w").WeightName() != name {
				continue
			}
			w, _ := op.Arg("w").Data()
			x := w.Float64s()
			for i := range x {
				x[i] *= by
			}
			setData(op.Arg("w"), tensorOf(linalg.Matrix{Rows: 1, Cols: len(x), Stride: len(x), Data: x}, w.Shape...).Convert(w.DType))
		}
	}
	for i, name := range []string{"layer.0.q.weight", "layer.1.in.weight", "layer.1.k.weight"} {
		scale(name, []float64{100, 0.01, 10}[i])
	}
	scale("layer.0.o.weight", 0)
	m, err := MethodNamed("nm:energy")
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.rank(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	part := func(m *matrix) float64 {
		lost, total := 0.0, 0.0
		for i := range m.n {
			row := m.row(i)
			for j := 0; j < m.k; j += 4 {
				group := row[j:min(j+4, m.k)]
				var squares []float64
				for _, x := range group {
					squares = append(squares, x*x)
				}
				slices.Sort(squares)
				total += square(group)
				for _, x := range squares[:len(group)-2] {
					lost += x
				}
			}
		}
		return lost / max(total, 1e-300)
	}
	e.turn(make(Setting, 1))
	last, gone := -1.0, map[*matrix]bool{}
	for rank := range e.matrices {
		e.dials[0].remove(rank)
		for _, m := range e.matrices {
			if m.entries == nil || gone[m] {
				continue
			}
			gone[m] = true
			if p := part(m); p < last {
				t.Errorf("%s goes at rank %d and loses %v, the one before %v", m.name, rank, p, last)
			} else {
				last = p
			}
		}
		if len(gone) != rank+1 {
			t.Fatalf("%d matrices went at %d", len(gone), rank+1)
		}
	}
}
