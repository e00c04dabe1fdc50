package layout

import (
	"math"
	"math/bits"

	"etc/fault"
)

// Stripe is the number of neighbouring inputs that one mask of a CSR matrix
// covers, one bit each.
const Stripe = 64

// CSR is a matrix W [N,K] of which only the values that are not zero are kept:
// bit b of Masks[s·N+i] is set where W[i][s·Stripe+b] is kept. Values has the
// kept values by stripes, within a stripe by rows, within a row by inputs. So
// a kernel that holds one stripe of x in its first-level cache reads masks and
// values from front to back.
//
// Starts[s·Blocks(N)+p] is where in Values the outputs from p·Width on begin
// in stripe s; one more is the number of values. It is not part of the bytes,
// which are Masks, then Values, without a gap. No mask can name an input twice
// or out of order, so besides bits past K and the size there is nothing to forge.
type CSR struct {
	N, K   int
	Masks  []uint64
	Starts []int
	Values []float32
}

const maskSize = 8 // uint64

// Stripes is the number of stripes that k inputs fill or begin.
func Stripes(k int) int { return (k + Stripe - 1) / Stripe }

// CSRBytes is the size of an [n,k] matrix with the given number of values that
// are kept; MaxInt if that is no size.
func CSRBytes(n, k, kept int) int {
	masks, values := product(n, Stripes(k), maskSize), product(kept, elemSize)
	if values > math.MaxInt-masks {
		return math.MaxInt
	}
	return masks + values
}

// PackCSR is w [n,k], row-major, without its zeros.
func PackCSR(w []float32, n, k int) []byte {
	kept := 0
	for _, v := range w {
		if v != 0 {
			kept++
		}
	}
	b := make([]byte, CSRBytes(n, k, kept))
	values := b[CSRBytes(n, k, 0):]
	e := 0
	for s := range Stripes(k) {
		for i := range n {
			mask := uint64(0)
			for bit, v := range w[i*k+s*Stripe : i*k+min(k, (s+1)*Stripe)] {
				if v != 0 {
					mask |= 1 << bit
					putFloat(values, e, v)
					e++
				}
			}
			putMask(b, s*n+i, mask)
		}
	}
	return b
}

// CheckCSR views b as an [n,k] matrix. It allocates no more than b has bytes.
func CheckCSR(n, k int, b []byte) (CSR, error) {
	const what = "csr"
	if err := checkDims(what, n, k); err != nil {
		return CSR{}, err
	}
	size := CSRBytes(n, k, 0)
	if len(b) < size {
		return CSR{}, fault.Newf(fault.Corrupt, "csr weight [%d %d]: %d bytes, too few for its masks, %d", n, k, len(b), size)
	}
	if err := checkAlign(what, b, maskSize); err != nil {
		return CSR{}, err
	}
	w := CSR{N: n, K: k, Masks: masks(b[:size])}
	if err := w.checkMasks(); err != nil {
		return CSR{}, err
	}
	w.findStarts()
	if err := checkSize(what, n, k, len(b), CSRBytes(n, k, w.Starts[len(w.Starts)-1])); err != nil {
		return CSR{}, err
	}
	w.Values = floats(b[size:])
	return w, nil
}

// checkMasks insists that no bit stands for an input past K.
func (w *CSR) checkMasks() error {
	if w.K%Stripe == 0 {
		return nil
	}
	s := w.K / Stripe
	for i, m := range w.Masks[s*w.N:] {
		if past := m >> (w.K % Stripe); past != 0 {
			return fault.Newf(fault.Corrupt, "csr weight: row %d: a value at column %d, want columns below %d",
				i, w.K+bits.TrailingZeros64(past), w.K)
		}
	}
	return nil
}

// findStarts counts the values of each block of Width masks of a stripe.
func (w *CSR) findStarts() {
	w.Starts = make([]int, 0, Stripes(w.K)*Blocks(w.N)+1)
	kept := 0
	for s := range Stripes(w.K) {
		for i, m := range w.Masks[s*w.N : (s+1)*w.N] {
			if i%Width == 0 {
				w.Starts = append(w.Starts, kept)
			}
			kept += bits.OnesCount64(m)
		}
	}
	w.Starts = append(w.Starts, kept)
}

// Unpack is W [N,K], row-major.
func (w CSR) Unpack() []float32 {
	d := make([]float32, w.N*w.K)
	e := 0
	for at, m := range w.Masks {
		s, i := at/w.N, at%w.N
		for ; m != 0; m &= m - 1 {
			d[i*w.K+s*Stripe+bits.TrailingZeros64(m)] = w.Values[e]
			e++
		}
	}
	return d
}
