package kernel

import "etc/formats/plan/layout"

// csrVecs is the widest block of tokens of the sparse kernel, in vectors.
const csrVecs = 4

// CSRScratch is the number of float32 that CSR needs for K inputs.
func CSRScratch(k int) int {
	const tokens = csrVecs * lanes
	return tokens * (k + lanes + lanes)
}

// CSR computes the panels first to last-1 of a product with a matrix of single
// entries. It goes over the tokens in blocks, transposed, so that a vector
// holds one input of many tokens, and takes one FMA for each entry of W. The
// bits are those of Dense with the zeros written out.
func (t *Table) CSR(l *Linear, w layout.CSR, first, last int, scratch []float32) {
	for r := 0; r < l.Rows; {
		left := l.Rows - r
		vecs := csrVecs
		for vecs > 1 && left <= vecs*lanes/2 {
			vecs /= 2
		}
		rows := min(left, vecs*lanes)
		t.csrTokens(l, w, r, rows, vecs, first, last, scratch)
		r += rows
	}
}

// csrTokens computes one block of rows tokens, padded to vecs vectors.
func (t *Table) csrTokens(l *Linear, w layout.CSR, row, rows, vecs, first, last int, scratch []float32) {
	tokens := vecs * lanes
	xt, rest := scratch[:w.K*tokens], scratch[w.K*tokens:]
	yt, y := rest[:lanes*tokens], rest[lanes*tokens:][:tokens*lanes]
	t.transpose(xt, tokens, l.inputs(row), l.XStride, rows, w.K)
	for p := first; p < last; p++ {
		features := min(lanes, w.N-p*lanes)
		for j := range features {
			i := p*lanes + j
			bias := float32(0)
			if l.Bias != nil {
				bias = l.Bias[i]
			}
			a, b := w.Offsets[i], w.Offsets[i+1]
			t.csrRow(vecs, xt, w.Columns[a:b], w.Values[a:b], yt[j*tokens:], bias)
		}
		t.transpose(y, lanes, yt, tokens, lanes, tokens)
		t.finishAside(l, w.N, row, rows, p, y)
	}
}

// transpose is dst[c·dstStride+r] = src[r·srcStride+c] for rows × columns of
// src. What dst holds besides stays: lanes that nobody reads the result of.
func (t *Table) transpose(dst []float32, dstStride int, src []float32, srcStride, rows, columns int) {
	if columns == 0 {
		return
	}
	r := 0
	for ; r+8 <= rows; r += 8 {
		done := t.transpose8(dst[r:], dstStride, src[r*srcStride:], srcStride, columns)
		transposeRows(dst, dstStride, src, srcStride, r, r+8, done, columns)
	}
	transposeRows(dst, dstStride, src, srcStride, r, rows, 0, columns)
}

func transposeRows(dst []float32, dstStride int, src []float32, srcStride, from, to, first, columns int) {
	for r := from; r < to; r++ {
		for c := first; c < columns; c++ {
			dst[c*dstStride+r] = src[r*srcStride+c]
		}
	}
}
