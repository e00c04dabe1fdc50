package prune

import "etc/ir/sparse"

// Tiles zeroes 16×16 tiles of every matrix by the energy in them, a tile at
// the edge with those entries that exist: E.T.'s whole_block_padding with the
// activations counted in (E.T., docs/references.md; prune_util.py of its code).
var Tiles = Method{"tiles", "16×16 tiles of every matrix", func(e *Edit) {
	for _, m := range e.matrices {
		m.rankTiles()
	}
}}

func (m *matrix) rankTiles() {
	down, across := (m.n+sparse.Tile-1)/sparse.Tile, (m.k+sparse.Tile-1)/sparse.Tile
	scores := make([]float64, down*across)
	for i := range m.n {
		for j, energy := range m.energies(i) {
			scores[i/sparse.Tile*across+j/sparse.Tile] += energy
		}
	}
	all(len(scores)).rank(scores, func(t int, l level) {
		row, column := t/across*sparse.Tile, t%across*sparse.Tile
		for i := row; i < min(row+sparse.Tile, m.n); i++ {
			for j := column; j < min(column+sparse.Tile, m.k); j++ {
				m.zero(i, j, l)
			}
		}
	})
}
