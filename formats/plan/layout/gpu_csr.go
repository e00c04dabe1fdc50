package layout

import (
	"math"

	"etc/fault"
)

// GPUCSR is a matrix W [N,K] of which only the values that are not zero are
// kept, in compressed sparse rows: row i has Values[Offsets[i]] up to
// Values[Offsets[i+1]], which stand at the inputs Columns, ascending.
//
// The bytes are Offsets (i32), Columns (i32), then Values, without a gap.
type GPUCSR struct {
	N, K             int
	Offsets, Columns []int32
	Values           []uint16
}

// GPUCSRBytes is the size of an [n,k] matrix with the given number of kept
// values; MaxInt if that is no size.
func GPUCSRBytes(n, kept int) int {
	offsets, values := product(n+1, elemSize), product(kept, elemSize+halfSize)
	if values > math.MaxInt-offsets {
		return math.MaxInt
	}
	return offsets + values
}

// GPUCSRParts is where the arrays of a matrix of n rows and of that many bytes
// begin, in bytes, by the names of the kernel's parameters.
func GPUCSRParts(n, bytes int) map[string]int {
	start := GPUCSRBytes(n, 0)
	kept := (bytes - start) / (elemSize + halfSize)
	return map[string]int{"offsets": 0, "indices": start, "values": start + kept*elemSize}
}

// PackGPUCSR is w [n,k], row-major, without its zeros.
func PackGPUCSR(w []uint16, n, k int) []byte {
	columns := make([]int, k)
	for i := range columns {
		columns[i] = i
	}
	return PackGPUCSRGathered(w, n, columns)
}

// PackGPUCSRGathered is w [n,len(columns)], row-major, without its zeros, as
// the wider matrix whose inputs it takes: those at columns, which ascend.
func PackGPUCSRGathered(w []uint16, n int, columns []int) []byte {
	k := len(columns)
	checkElements("PackGPUCSR", w, n, k)
	kept := 0
	for _, v := range w {
		if !isZero(v) {
			kept++
		}
	}
	if kept > maxDim {
		panic("bug: PackGPUCSR: more values than an offset can count")
	}
	b := make([]byte, GPUCSRBytes(n, kept))
	parts := GPUCSRParts(n, len(b))
	indices, values := b[parts["indices"]:], b[parts["values"]:]
	e := 0
	for i := range n {
		for c, v := range w[i*k : (i+1)*k] {
			if !isZero(v) {
				putInt(indices, e, columns[c])
				putHalf(values, e, v)
				e++
			}
		}
		putInt(b, i+1, e)
	}
	return b
}

// CheckGPUCSR views b as an [n,k] matrix.
func CheckGPUCSR(n, k int, b []byte) (GPUCSR, error) {
	const what = "gpu csr"
	if err := checkDims(what, n, k); err != nil {
		return GPUCSR{}, err
	}
	start := GPUCSRBytes(n, 0)
	if len(b) < start {
		return GPUCSR{}, fault.Newf(fault.Corrupt, "gpu csr weight [%d %d]: %d bytes, too few for %d offsets", n, k, len(b), n+1)
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return GPUCSR{}, err
	}
	offsets := ints(b[:start])
	if err := checkOffsets(what, offsets); err != nil {
		return GPUCSR{}, err
	}
	kept := int(offsets[n])
	if err := checkSize(what, n, k, len(b), GPUCSRBytes(n, kept)); err != nil {
		return GPUCSR{}, err
	}
	end := start + kept*elemSize
	w := GPUCSR{n, k, offsets, ints(b[start:end]), halves(b[end:])}
	if err := checkColumns(what, offsets, w.Columns, k); err != nil {
		return GPUCSR{}, err
	}
	return w, nil
}

// Unpack is W [N,K], row-major.
func (w GPUCSR) Unpack() []uint16 {
	d := make([]uint16, w.N*w.K)
	for i := range w.N {
		for e := w.Offsets[i]; e < w.Offsets[i+1]; e++ {
			d[i*w.K+int(w.Columns[e])] = w.Values[e]
		}
	}
	return d
}
