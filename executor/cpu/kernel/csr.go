package kernel

import (
	"unsafe"

	"etc/formats/plan/layout"
)

const (
	// csrVecs is the widest block of tokens, in vectors: a stripe of 64 inputs
	// of 96 tokens is 24 KiB of a first-level cache of 32 KiB.
	csrVecs = 6
	// csrPanels is the number of panels whose sums are held while K is gone
	// through: with 96 tokens 144 KiB of the second-level cache. As many outputs
	// use a stripe of x once it is transposed.
	csrPanels  = 24
	lineFloats = 64 / 4 // of a cache line
)

// CSRScratch is the number of float32 that CSR needs.
func CSRScratch() int {
	const tokens = csrVecs * lanes
	return tokens*(layout.Stripe+csrPanels*lanes) + lineFloats
}

// CSR computes the panels first to last-1 of a product with a matrix of single
// values. It goes over the tokens in blocks and over K in stripes, transposed,
// so that a vector holds one input of many tokens, and takes one FMA for each
// value of W. The bits are those of Dense with the zeros written out.
func (t *Table) CSR(l *Linear, w layout.CSR, first, last int, scratch []float32) {
	if w.K == 0 {
		t.Dense(l, layout.Panels{N: w.N}, first, last)
		return
	}
	past := uintptr(unsafe.Pointer(&scratch[0])) % (4 * lineFloats) / 4
	scratch = scratch[(lineFloats-past)%lineFloats:]
	for r := 0; r < l.Rows; {
		rows := cut(l.Rows-r, csrVecs*lanes)
		for p := first; p < last; p += csrPanels {
			t.csrBlock(l, w, r, rows, p, min(last, p+csrPanels), scratch)
		}
		r += rows
	}
}

// csrBlock computes one block of tokens × outputs.
func (t *Table) csrBlock(l *Linear, w layout.CSR, row, rows, first, last int, scratch []float32) {
	vecs := vectors(rows)
	tokens := vecs * lanes
	from, to := first*lanes, min(w.N, last*lanes)
	xt, sums := scratch[:layout.Stripe*tokens], scratch[layout.Stripe*tokens:][:(to-from)*tokens]
	bias, step := zeros[:], 0
	if l.Bias != nil {
		bias, step = l.Bias[from:], 1
	}
	blocks := layout.Blocks(w.N)
	for s := range layout.Stripes(w.K) {
		k := s * layout.Stripe
		t.transpose(xt, tokens, l.inputs(row)[k:], l.XStride, rows, min(layout.Stripe, w.K-k))
		values := w.Values[w.Starts[s*blocks+first]:w.Starts[s*blocks+last]]
		t.csrRows(vecs, xt, w.Masks[s*w.N+from:s*w.N+to], values, sums, bias, step)
		bias = nil
	}
	t.csrFinish(l, w.N, row, rows, first, last, tokens, sums, xt)
}

// csrFinish transposes the sums into Y and does what follows the product. A
// last panel that is not whole takes the way through y.
func (t *Table) csrFinish(l *Linear, n, row, rows, first, last, tokens int, sums, y []float32) {
	whole := min(last, n/lanes)
	if first < whole {
		t.transpose(l.Y[row*l.YStride+first*lanes:], l.YStride, sums, tokens, (whole-first)*lanes, rows)
		t.finish(l, row, rows, first, whole-first)
	}
	if whole < last {
		t.transpose(y, lanes, sums[(whole-first)*lanes*tokens:], tokens, n-whole*lanes, rows)
		t.finishAside(l, n, row, rows, whole, y)
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
