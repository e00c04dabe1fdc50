package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etc/prune/linalg"
)

// TestTileScoresOfTheSurgeon: of each 16 outputs, tile after tile goes that
// costs least by least squares, and scores what is lost by it, or by one before
// it if that was more. Rows of tiles compare by the variance that they lose.
func TestTileScoresOfTheSurgeon(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 14))
	const tile, n = 16, 40 // the last row of tiles is short
	for _, k := range []int{64, 75} {
		for _, independent := range []bool{false, true} {
			m := product(rng, n, k, true)
			w, x := m.dense(), tokens(rng, 300, k)
			if independent { // nearly equal tiles: what damping takes too much is missing from the last
				x = linalg.New(2*k, k)
			}
			for i := range n { // rows of tiles of other sizes
				for j := range k {
					if independent {
						x.Set(2*j, j, 1)
						x.Set(2*j+1, j, -1)
						w.Set(i, j, 1+0.001*float64(j/tile))
					}
					w.Set(i, j, w.At(i, j)*[]float64{1, 10, 0.1}[i/tile])
				}
			}
			m.w = tensorOf(w, n, k)
			m.see(x)
			checkTileScores(t, m)
		}
	}
}

func checkTileScores(t *testing.T, m *matrix) {
	t.Helper()
	const tile = 16
	w, n, k := m.dense(), m.n, m.k
	down, across := tilesIn(n), tilesIn(k)
	h := m.covariance()
	exact := ridged(h, damping)
	want := make([]float64, down*across)
	for r := range down {
		rows := linalg.Select(w, span(r*tile, min(tile, n-r*tile)), nil)
		total := lossOf(rows, h, span(0, k))
		var gone []int
		left, most, before := span(0, across), 0.0, 0.0
		for len(left) > 0 {
			best, cheapest := 0, 0.0
			for at, c := range left {
				cost := lossOf(rows, exact, slices.Concat(gone, span(c*tile, min(tile, k-c*tile))))
				if at == 0 || cost < cheapest {
					best, cheapest = at, cost
				}
			}
			c := left[best]
			left = slices.Delete(left, best, best+1)
			gone = append(gone, span(c*tile, min(tile, k-c*tile))...)
			lost := min(total, cheapest)
			most = max(most, lost-before)
			want[r*across+c], before = most, lost
		}
	}
	scores := (&Edit{criterion: &Criteria[0]}).tileScores(m)
	for i, x := range scores {
		if !near(x/want[i], 1, 1e-6) {
			t.Errorf("tile (%d,%d) scores %v, want %v", i/across, i%across, x, want[i])
		}
	}
}

// TestRaggedTilesScoreTheirEnergy: of a width that tiles do not divide, the last
// one counts like any.
func TestRaggedTilesScoreTheirEnergy(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 14))
	const n, k = 20, 40
	m := product(rng, n, k, true)
	m.worth = normals(rng, 1, k).Data
	for j, x := range m.worth {
		m.worth[j] = x * x
	}
	w, want := m.dense(), make([]float64, 2*3)
	for i := range n {
		for j := range k {
			want[i/16*3+j/16] += w.At(i, j) * w.At(i, j) * m.worth[j]
		}
	}
	for i, x := range (&Edit{criterion: &Criteria[1]}).tileScores(m) {
		if !near(x, want[i], 1e-12) {
			t.Errorf("tile %d scores %v, want %v", i, x, want[i])
		}
	}
}

// TestBalancedTilesGoByTheirOwnRow: in each 16 outputs that tile goes first
// that is least there.
func TestBalancedTilesGoByTheirOwnRow(t *testing.T) {
	m := product(rand.New(rand.NewPCG(3, 14)), 32, 32, true)
	m.worth = slices.Repeat([]float64{1}, 32)
	w := m.dense()
	for i := range 32 {
		for j := range 32 {
			w.Set(i, j, 1)
			if i/16 == j/16 {
				w.Set(i, j, 2)
			}
		}
	}
	m.w = tensorOf(w, 32, 32)
	e := &Edit{criterion: &Criteria[1]}
	e.removeTilesOf(nil, m, true)
	e.dials[0].remove(0)
	for at, gone := range m.entries {
		if least := at/32/16 != at%32/16; gone != least {
			t.Fatalf("entry (%d,%d) goes: %v", at/32, at%32, gone)
		}
	}
}
