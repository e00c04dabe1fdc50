package prune

import (
	"etc/fault"
	"etc/ir/sparse"
)

// Tiles zeroes 16×16 tiles of every matrix, a tile at the edge with those
// entries that exist: E.T.'s whole_block_padding with the activations counted
// in (E.T., docs/references.md; prune_util.py of its code).
var Tiles = structure{"tiles", "16×16 tiles of every matrix", "energy", func(e *Edit) { e.removeTiles(false) }}

// BalancedTiles zeroes the same number of tiles in every 16 output rows, as
// the balanced variant of E.T. does, so that all are done at the same time.
var BalancedTiles = structure{"balanced-tiles", "16×16 tiles, as many of every 16 outputs", "energy", func(e *Edit) { e.removeTiles(true) }}

func (e *Edit) removeTiles(balanced bool) {
	for _, l := range e.layers {
		for _, m := range l.matrices() {
			e.removeTilesOf(l, m, balanced)
		}
	}
}

// removeTilesOf makes the dial of the tiles of m.
func (e *Edit) removeTilesOf(l *sublayer, m *matrix, balanced bool) {
	down, across := tilesIn(m.n), tilesIn(m.k)
	scores := e.tileScores(m)
	if !balanced {
		order := ascending(scores)
		e.dials = append(e.dials, &dial{all(len(order)), "tiles", l, func(rank int) { m.zeroTile(order[rank]/across, order[rank]%across) }, nil})
		return
	}
	orders := make([][]int, down)
	for r := range orders {
		orders[r] = ascending(scores[r*across : (r+1)*across])
	}
	e.dials = append(e.dials, &dial{all(across), "tiles", l, func(rank int) {
		for r, order := range orders {
			m.zeroTile(r, order[rank])
		}
	}, nil})
}

func tilesIn(n int) int { return (n + sparse.Tile - 1) / sparse.Tile }

// zeroTile marks the tile in that row and column of tiles.
func (m *matrix) zeroTile(row, column int) {
	for i := row * sparse.Tile; i < min((row+1)*sparse.Tile, m.n); i++ {
		for j := column * sparse.Tile; j < min((column+1)*sparse.Tile, m.k); j++ {
			m.zero(i, j)
		}
	}
}

// tileScores orders the tiles of m, row by row. By the surgeon a tile scores
// what is lost when it goes and the tiles of its 16 outputs before it have
// gone; made to ascend, these compare between rows of tiles (Optimal Brain
// Compression, section 4: traces of all rows are sorted together).
func (e *Edit) tileScores(m *matrix) []float64 {
	down, across := tilesIn(m.n), tilesIn(m.k)
	scores := make([]float64, down*across)
	if !e.criterion.surgeon || m.k%sparse.Tile != 0 {
		for i := range m.n {
			for j, energy := range m.energies(i) {
				scores[i/sparse.Tile*across+j/sparse.Tile] += energy
			}
		}
		return scores
	}
	w, h := m.dense(), m.covariance()
	fault.Parallel(down, func(r int) {
		rows := w
		rows.Data = w.Data[r*sparse.Tile*w.Stride:]
		rows.Rows = min(sparse.Tile, m.n-r*sparse.Tile)
		s := newSurgery(rows, h)
		order, loss := s.order(1, sparse.Tile, 0)
		most := 0.0
		for rank, tile := range order[0] {
			most = max(most, (loss[rank+1]-loss[rank])*s.total)
			scores[r*across+tile] = most
		}
	})
	return scores
}
