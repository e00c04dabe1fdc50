package frontendtest

// tile is the side of the tiles that pruning leaves.
const tile = 16

// prune sets a part of a matrix to +0, by one of the units of pruning or by none.
func (c *checkpoint) prune(v []float32, rows, cols int) {
	zero := func(from, to, left, right int) {
		for i := from; i < min(to, rows); i++ {
			for j := left; j < min(right, cols); j++ {
				v[i*cols+j] = 0
			}
		}
	}
	switch c.rng.IntN(7) {
	case 0: // rows
		for range 1 + rows/3 {
			i := c.rng.IntN(rows)
			zero(i, i+1, 0, cols)
		}
	case 1: // columns
		for range 1 + cols/3 {
			j := c.rng.IntN(cols)
			zero(0, rows, j, j+1)
		}
	case 2: // the outputs of a head
		i := c.rng.IntN(c.Heads) * c.HeadSize
		zero(i, i+c.HeadSize, 0, cols)
	case 3: // the inputs of a head
		j := c.rng.IntN(c.Heads) * c.HeadSize
		zero(0, rows, j, j+c.HeadSize)
	case 4: // tiles
		for i := 0; i < rows; i += tile {
			for j := 0; j < cols; j += tile {
				if c.rng.IntN(2) == 0 {
					zero(i, i+tile, j, j+tile)
				}
			}
		}
	case 5: // two of every four in a row
		for i := range rows {
			for j := c.rng.IntN(3); j < cols; j += 4 {
				zero(i, i+1, j, j+2)
			}
		}
	case 6: // nothing
	}
}
