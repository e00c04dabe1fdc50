package prune

import (
	"math"
	"slices"

	"etc/fault"
	"etc/ir/sparse"
	"etc/prune/linalg"
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
	if !e.criterion.surgeon {
		for i := range m.n {
			for j, energy := range m.energies(i) {
				scores[i/sparse.Tile*across+j/sparse.Tile] += energy
			}
		}
		return scores
	}
	h := m.covariance()
	s := newSurgery(m.weighedTiles(), h)
	fault.Parallel(down, func(r int) { // each takes the memory of two matrices like A
		w := linalg.Select(s.w, nil, span(r*sparse.Tile, min(sparse.Tile, m.n-r*sparse.Tile)))
		left := varianceOf(w, h) // damping takes more than there is
		order, costs := tileOrder(w, s.a)
		most := 0.0
		for rank, tile := range order {
			cost := min(left, costs[rank])
			most, left = max(most, cost), left-cost
			scores[r*across+tile] = most
		}
	})
	return scores
}

// tileOrder removes groups of 16 inputs of y = W·x, w [k,n] and a [k,k] being
// those of a surgery, and returns them in the order they go, with what each loses.
//
// It does what surgery does, but rewrites no copy of A, which all rows of tiles
// share: with R = A_P as it is by then and X = (R_P)⁻¹·R,
//
//	A after P₁, ..., Pₛ have gone is A − Σ Rₜᵀ·Xₜ
//
// and of that only the blocks of tiles on the diagonal are kept up to date, and
// the rows of a tile made when it goes.
func tileOrder(w, a linalg.Matrix) (order []int, costs []float64) {
	k := a.Rows
	left := span(0, tilesIn(k))
	inputs, blocks := make([][]int, len(left)), make([]linalg.Matrix, len(left))
	for c := range left {
		inputs[c] = span(c*sparse.Tile, min(sparse.Tile, k-c*sparse.Tile))
		blocks[c] = linalg.Select(a, inputs[c], inputs[c])
	}
	r, x := linalg.New(k, k), linalg.New(k, k) // of what has gone, one below the other
	for gone := 0; len(left) > 0; {
		at, least := 0, math.Inf(1)
		for i, c := range left {
			wp := linalg.Select(w, inputs[c], nil)
			y := wp.Clone()
			linalg.SolveCholesky(damped(blocks[c], 0), y)
			if cost := max(0, dot(y, wp)); cost < least {
				at, least = i, cost
			}
		}
		p := left[at]
		left = slices.Delete(left, at, at+1)
		order, costs = append(order, p), append(costs, least)

		size := len(inputs[p])
		mine, so := below(r, gone, size), below(x, gone, size)
		for i, j := range inputs[p] {
			copy(mine.Row(i), a.Row(j))
		}
		linalg.AddProduct(mine, -1, linalg.Select(below(r, 0, gone), nil, inputs[p]), below(x, 0, gone), true, false)
		copy(so.Data, mine.Data) // both lie without gaps
		factor := damped(blocks[p], 0)
		linalg.SolveCholesky(factor, so)
		y := linalg.Select(w, inputs[p], nil)
		linalg.SolveCholesky(factor, y)
		linalg.AddProduct(w, -1, mine, y, true, false)
		for _, c := range left {
			linalg.AddProduct(blocks[c], -1, linalg.Select(mine, nil, inputs[c]), linalg.Select(so, nil, inputs[c]), true, false)
		}
		gone += size
	}
	return order, costs
}

// below is n rows of m from one on, in its memory.
func below(m linalg.Matrix, from, n int) linalg.Matrix {
	return linalg.Matrix{Rows: n, Cols: m.Cols, Stride: m.Stride, Data: m.Data[from*m.Stride : (from+n)*m.Stride]}
}
