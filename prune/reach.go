package prune

import (
	"slices"

	"etc/ir/sparse"
	"etc/prune/linalg"
)

// What a model answers does not hang alike on all that a product puts out. With
// g the derivatives of the answers by its outputs y, a small error e of y
// changes the answers by gᵀe, whose mean square is eᵀ·E[g·gᵀ]·e: by the Fisher
// information of y, where answers are probabilities. Outputs are therefore
// weighed by
//
//	M = (1−known)·I + known·E[g·gᵀ]/mean(diag E[g·gᵀ])
//
// when things are put in the order in which they go. What an output has to be
// does not depend on the others, so least squares need no M. Source of the
// idea: Kwon et al., A Fast Post-Training Pruning Framework for Transformers
// (2022), who weigh whole heads and neurons; figures: docs/rationale.md.

// known is the part of M that derivatives have. They are of some hundred rows
// and of small changes; the rest holds what they do not see.
const known = 0.5

// metric is M for some outputs of m, [len(rows),len(rows)], nil being all of
// them; false where all count alike.
func (m *matrix) metric(rows []int) (linalg.Matrix, bool) {
	if m.reach == nil {
		return linalg.Matrix{}, false
	}
	mean := trace(m.reach.gram) / float64(m.n)
	if !(mean > 0) || !finite(mean) {
		return linalg.Matrix{}, false
	}
	g := linalg.Select(m.reach.gram, rows, rows)
	for i := range g.Rows {
		row := g.Row(i)
		for j := range row {
			row[j] *= known / mean
		}
		row[i] += 1 - known
	}
	return g, true
}

// countOutputs sets what the square of each output counts by itself: the
// diagonal of M.
func (m *matrix) countOutputs() {
	m.counts = slices.Repeat([]float64{1}, m.n)
	for i := range m.counts {
		if g, ok := m.metric([]int{i}); ok {
			m.counts[i] = g.At(0, 0)
		}
	}
}

// weighed is R·W with Rᵀ·R = M, W [len(rows),k] being some rows of m, nil all:
// the squares of what it puts out are what those of W's count.
func (m *matrix) weighed(w linalg.Matrix, rows []int) linalg.Matrix {
	g, ok := m.metric(rows)
	if !ok {
		return w
	}
	y := linalg.New(w.Rows, w.Cols)
	linalg.AddProduct(y, 1, damped(g, 0), w, true, false)
	return y
}

// weighedTiles is the same for every 16 rows by themselves.
func (m *matrix) weighedTiles() linalg.Matrix {
	w := m.dense()
	for first := 0; first < m.n; first += sparse.Tile {
		n := min(sparse.Tile, m.n-first)
		part := below(w, first, n)
		copy(part.Data, m.weighed(part, span(first, n)).Data)
	}
	return w
}
