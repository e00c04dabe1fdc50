package layout

import (
	"math"

	"etc/fault"
)

// CSR is a matrix W [N,K] of which only the values that are not zero are
// kept: row i has the entries Offsets[i] to Offsets[i+1], entry e the value
// Values[e] at input Columns[e]. Columns ascend within a row.
//
// The bytes are Offsets (int32), Columns (int32), Values, without gaps.
type CSR struct {
	N, K             int
	Offsets, Columns []int32
	Values           []float32
}

// CSRBytes is the size of an [n,k] matrix with the given number of entries.
func CSRBytes(n, entries int) int {
	e := product(entries, 2*elemSize)
	if e > math.MaxInt-elemSize*(n+1) {
		return math.MaxInt
	}
	return elemSize*(n+1) + e
}

// PackCSR is w [n,k], row-major, without its zeros.
func PackCSR(w []float32, n, k int) []byte {
	entries := 0
	for _, v := range w {
		if v != 0 {
			entries++
		}
	}
	b := make([]byte, CSRBytes(n, entries))
	columns, values := b[elemSize*(n+1):], b[elemSize*(n+1+entries):]
	e := 0
	for i := range n {
		for c, v := range w[i*k : (i+1)*k] {
			if v != 0 {
				putInt(columns, e, c)
				putFloat(values, e, v)
				e++
			}
		}
		putInt(b, i+1, e)
	}
	return b
}

// CheckCSR views b as the entries of an [n,k] matrix.
func CheckCSR(n, k int, b []byte) (CSR, error) {
	const what = "csr"
	if err := checkDims(what, n, k); err != nil {
		return CSR{}, err
	}
	start := elemSize * (n + 1)
	if len(b) < start {
		return CSR{}, fault.Newf(fault.Corrupt, "csr weight [%d %d]: %d bytes, too few for %d offsets", n, k, len(b), n+1)
	}
	if err := checkAlign(what, b); err != nil {
		return CSR{}, err
	}
	offsets := ints(b[:start])
	entries := int(offsets[n])
	if entries < 0 {
		return CSR{}, fault.Newf(fault.Corrupt, "csr weight [%d %d]: %d entries", n, k, entries)
	}
	if err := checkSize(what, n, k, len(b), CSRBytes(n, entries)); err != nil {
		return CSR{}, err
	}
	if err := checkOffsets(what, offsets); err != nil {
		return CSR{}, err
	}
	columns := ints(b[start : start+elemSize*entries])
	if err := checkColumns(what, offsets, columns, k); err != nil {
		return CSR{}, err
	}
	return CSR{n, k, offsets, columns, floats(b[start+elemSize*entries:])}, nil
}

// Unpack is W [N,K], row-major.
func (w CSR) Unpack() []float32 {
	d := make([]float32, w.N*w.K)
	for i := range w.N {
		for e := w.Offsets[i]; e < w.Offsets[i+1]; e++ {
			d[i*w.K+int(w.Columns[e])] = w.Values[e]
		}
	}
	return d
}
