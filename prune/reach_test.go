package prune

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/prune/linalg"
)

// reaching gives m derivatives by its outputs, some much larger than others and
// not independent, and returns M as it is defined.
func reaching(rng *rand.Rand, m *matrix) linalg.Matrix {
	d := normals(rng, 3*m.n, m.n)
	for t := range d.Rows {
		row := d.Row(t)
		for i := range row {
			row[i] *= []float64{0.01, 1, 5}[i%3]
			if i > 0 {
				row[i] += row[i-1]
			}
		}
	}
	m.reach = newMoments(m.n)
	m.reach.addAll(d)
	m.countOutputs()
	metric := linalg.New(m.n, m.n)
	linalg.AddProduct(metric, 1, d, d, true, false)
	mean := trace(metric) / float64(m.n)
	for i := range m.n {
		row := metric.Row(i)
		for j := range row {
			row[j] *= 0.5 / mean
		}
		row[i] += 0.5
	}
	return metric
}

// quadratic is tr(Wᵀ·M·W) column by column.
func quadratic(w, metric linalg.Matrix) []float64 {
	mw := linalg.New(w.Rows, w.Cols)
	linalg.AddProduct(mw, 1, metric, w, false, false)
	sums := make([]float64, w.Cols)
	for i := range w.Rows {
		for j, x := range w.Row(i) {
			sums[j] += x * mw.At(i, j)
		}
	}
	return sums
}

func squares(w linalg.Matrix) []float64 {
	sums := make([]float64, w.Cols)
	for i := range w.Rows {
		for j, x := range w.Row(i) {
			sums[j] += x * x
		}
	}
	return sums
}

func wantNear(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i, x := range got {
		if !near(x/want[i], 1, 1e-9) {
			t.Errorf("%s: %d is %v, want %v", what, i, x, want[i])
		}
	}
}

// TestWeighed: squares of what is weighed are what M makes of the weights, of
// all outputs together, of some, and of every 16 by themselves.
func TestWeighed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 15))
	const n, k = 40, 7
	m := product(rng, n, k, true)
	w := m.dense()
	if slices.ContainsFunc(m.counts, func(x float64) bool { return x != 1 }) || !slices.Equal(m.weighed(w, nil).Data, w.Data) || !slices.Equal(m.weighedTiles().Data, w.Data) {
		t.Error("where nothing is known, outputs do not count alike")
	}
	metric := reaching(rng, m)
	wantNear(t, "all", squares(m.weighed(w, nil)), quadratic(w, metric))
	some := []int{3, 4, 9, 31}
	part := linalg.Select(w, some, nil)
	wantNear(t, "some", squares(m.weighed(part, some)), quadratic(part, linalg.Select(metric, some, some)))
	for i := range n {
		wantNear(t, "counts", m.counts[i:i+1], []float64{metric.At(i, i)})
	}
	tiles := m.weighedTiles()
	for first := 0; first < n; first += 16 {
		rows := span(first, min(16, n-first))
		wantNear(t, "tiles", squares(linalg.Select(tiles, rows, nil)), quadratic(linalg.Select(w, rows, nil), linalg.Select(metric, rows, rows)))
	}
	m.reach = newMoments(n)
	m.reach.addAll(linalg.New(5, n)) // the answers hang on nothing
	if !slices.Equal(m.weighed(w, nil).Data, w.Data) {
		t.Error("derivatives that are zero count")
	}
}

// TestReachOrdersASearch: a search looks at what outputs reach, and keeps none of it once
// all is in order, for it is large.
func TestReachOrdersASearch(t *testing.T) {
	var found [][]byte
	for _, known := range []bool{false, true} {
		q := newWorld(t).quest(2)
		if known {
			rng := rand.New(rand.NewPCG(2, 15))
			q.Stats.Reach = &Statistics{}
			for i := range layerCount {
				for _, name := range []string{"o", "out"} {
					d := normals(rng, 100, hiddenWidth)
					for t := range d.Rows {
						for j := range hiddenWidth {
							d.Set(t, j, d.At(t, j)*float64(j%3))
						}
					}
					q.Stats.Reach.AddRows(fmt.Sprintf("layer.%d.%s.weight", i, name), d)
				}
			}
		}
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range q.edit.matrices {
			if m.reach != nil || q.edit.stats.Reach != nil {
				t.Fatalf("%s: derivatives are kept", m.name)
			}
		}
		found = append(found, bytesOf(f.Graph))
	}
	if bytes.Equal(found[0], found[1]) {
		t.Error("what outputs reach changes nothing")
	}
}
