package kernel

import "etc/formats/plan/layout"

// chunkFloats is how much of X is gone through before the next panels of W: X
// and three panels of W then fit a second-level cache of 1 MiB.
const chunkFloats = 96 << 10

// Dense computes the panels first to last-1 of a product with a dense matrix.
func (t *Table) Dense(l *Linear, w layout.Panels, first, last int) {
	chunk := t.chunkRows(w.K)
	for row := 0; row < l.Rows; row += chunk {
		t.denseChunk(l, w, row, min(chunk, l.Rows-row), first, last)
	}
}

// chunkRows is the number of rows of X with k inputs in a chunk.
func (t *Table) chunkRows(k int) int {
	most := t.blockRows()
	return max(1, chunkFloats/max(1, k)/most) * most
}

// denseChunk holds a group of panels while it goes over the rows.
func (t *Table) denseChunk(l *Linear, w layout.Panels, row, rows, first, last int) {
	whole := min(last, w.N/lanes)
	for p := first; p < whole; {
		panels := min(t.blockPanels(rows), whole-p)
		bias := l.biasOf(w.N, p, panels, nil)
		own := w.Values[p*w.K*lanes:]
		blocks := (rows + t.blockRows() - 1) / t.blockRows()
		for r, b := row, 0; r < row+rows; b++ {
			n := cut(row+rows-r, t.blockRows())
			next, nextStride := own, lanes
			if blocks > 1 && p+panels < last {
				next, nextStride = ahead(w.Values[(p+panels)*w.K*lanes:], w.K, b, blocks)
			}
			t.denseBlock(n, panels, l.inputs(r), l.XStride, own, lanes, w.K*lanes,
				l.Y[r*l.YStride+p*lanes:], l.YStride, w.K, bias, next, nextStride)
			t.finish(l, r, n, p, panels)
			r += n
		}
		p += panels
	}
	if whole < last {
		t.denseTail(l, w, row, rows, whole)
	}
}

// ahead is the part of a panel w of k steps that block b of so many asks for,
// and how far a step of the block goes in it: each block its share, so that
// memory is asked for a line no faster than it can send them. (All of it in one
// block was measured to be slower than none.)
func ahead(w []float32, k, b, blocks int) (from []float32, stride int) {
	blocks = min(blocks, lanes)
	return w[min(b, blocks-1)*(k/blocks)*lanes:], lanes / blocks
}

// denseTail computes the last panel, of which only some outputs exist.
func (t *Table) denseTail(l *Linear, w layout.Panels, row, rows, p int) {
	var a aside
	bias := l.biasOf(w.N, p, 1, &a)
	for r := row; r < row+rows; {
		n := cut(row+rows-r, t.blockRows())
		t.denseBlock(n, 1, l.inputs(r), l.XStride, w.Panel(p), lanes, 0, a.y[:], lanes, w.K, bias, w.Panel(p), lanes)
		t.finishAside(l, w.N, r, n, p, a.y[:])
		r += n
	}
}

// inputs is X from row r on.
func (l *Linear) inputs(r int) []float32 {
	return l.X[min(r*l.XStride, len(l.X)):] // K may be 0 and X empty
}
