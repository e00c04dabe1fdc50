package kernel

import "etc/formats/plan/layout"

// chunkFloats is how much of X is gone through before the next panels of W: X
// and three panels of W then fit a second-level cache of 1 MiB.
const chunkFloats = 96 << 10

// vectorBytes is the size of one step of a panel.
const vectorBytes = 4 * lanes

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
	cuts := cutAll(rows, t.blockRows())
	for p := first; p < whole; {
		panels := min(t.blockPanels(rows), whole-p)
		bias := l.biasOf(w.N, p, panels, nil)
		own := w.Values[p*w.K*lanes:]
		next := own
		if cuts.count > 1 && p+panels < last {
			next = w.Values[(p+panels)*w.K*lanes:]
		}
		ahead := cuts.lookahead(w.K)
		plain := l.plain(p)
		for r, b := row, 0; b < cuts.count; b++ {
			n := cuts.size(b)
			t.denseBlock(n, panels, l.inputs(r), l.XStride, own, lanes, w.K*lanes,
				l.Y[r*l.YStride+p*lanes:], l.YStride, w.K, bias, next[ahead.from(b):], ahead.stride)
			if !plain {
				t.finish(l, r, n, p, panels)
			}
			r += n
		}
		p += panels
	}
	if whole < last {
		t.denseTail(l, w, row, rows, whole)
	}
}

// A lookahead is how blocks of rows over the same panels ask for the ones that come
// next: each block for its share, so that memory is asked for a line no faster
// than it can send them. (All of them in one block was measured to be slower
// than none.)
type lookahead struct {
	blocks int
	share  int // of a block, in values
	stride int // of a step of k, in bytes
}

func (b rowBlocks) lookahead(k int) lookahead {
	n := min(b.count, lanes)
	return lookahead{n, k / n * lanes, vectorBytes / n}
}

// from is where block b begins.
func (a lookahead) from(b int) int { return min(b, a.blocks-1) * a.share }

// denseTail computes the last panel, of which only some outputs exist.
func (t *Table) denseTail(l *Linear, w layout.Panels, row, rows, p int) {
	var a aside
	bias := l.biasOf(w.N, p, 1, &a)
	for r := row; r < row+rows; {
		n := cut(row+rows-r, t.blockRows())
		t.denseBlock(n, 1, l.inputs(r), l.XStride, w.Panel(p), lanes, 0, a.y[:], lanes, w.K, bias, w.Panel(p), vectorBytes)
		t.finishAside(l, w.N, r, n, p, a.y[:])
		r += n
	}
}

// inputs is X from row r on.
func (l *Linear) inputs(r int) []float32 {
	return l.X[min(r*l.XStride, len(l.X)):] // K may be 0 and X empty
}
