package kernel

import "etc/formats/plan/layout"

// Tiles computes the block rows first to last-1 of a product with a matrix of
// kept tiles. The bits are those of Dense with the zeros written out.
func (t *Table) Tiles(l *Linear, w layout.Tiles, first, last int) {
	chunk := t.chunkRows(w.K)
	for row := 0; row < l.Rows; row += chunk {
		t.tilesChunk(l, w, row, min(l.Rows, row+chunk), first, last)
	}
}

func (t *Table) tilesChunk(l *Linear, w layout.Tiles, from, to, first, last int) {
	var a aside
	for p := first; p < last; p++ {
		bias := l.biasOf(w.N, p, 1, &a)
		columns := w.Columns[w.Offsets[p]:w.Offsets[p+1]]
		values := w.Values[int(w.Offsets[p])*lanes*lanes:]
		rest := 0
		if n := len(columns); n > 0 && int(columns[n-1]) == w.K/lanes {
			rest = w.K % lanes
		}
		for r := from; r < to; {
			n := cut(to-r, t.blockRows())
			if (p+1)*lanes <= w.N {
				t.tilesBlock(n, l.inputs(r), l.XStride, w.K, values, columns, rest, l.Y[r*l.YStride+p*lanes:], l.YStride, bias)
				t.finish(l, r, n, p, 1)
			} else {
				t.tilesBlock(n, l.inputs(r), l.XStride, w.K, values, columns, rest, a.y[:], lanes, bias)
				t.finishAside(l, w.N, r, n, p, a.y[:])
			}
			r += n
		}
	}
}
