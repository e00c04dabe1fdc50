package prune

// tileSide is the side of E.T.'s tensor tile.
const tileSide = 16

// Tiles zeroes 16×16 tiles of every matrix by the energy in them, a tile at
// the edge with those entries that exist: E.T.'s whole_block_padding with the
// activations counted in ([PR] prune_util.py, notes/et-paper.md section 3.1).
var Tiles = Method{"tiles", "16×16 tiles of every matrix", func(e *Edit, share float64) {
	for _, m := range e.matrices() {
		m.zeroTiles(share)
	}
}}

func (m *matrix) zeroTiles(share float64) {
	across := (m.k + tileSide - 1) / tileSide
	count := (m.n + tileSide - 1) / tileSide * across
	energy := func(t int) float64 {
		sum := 0.0
		m.inTile(t, across, func(i, j int) { sum += m.energy(i, j) })
		return sum
	}
	each(count, portion(share, count, 1, count), energy, func(t int) {
		m.inTile(t, across, func(i, j int) { m.zero[i*m.k+j] = true })
	})
}

func (m *matrix) inTile(t, across int, f func(i, j int)) {
	row, column := t/across*tileSide, t%across*tileSide
	for i := row; i < min(row+tileSide, m.n); i++ {
		for j := column; j < min(column+tileSide, m.k); j++ {
			f(i, j)
		}
	}
}
