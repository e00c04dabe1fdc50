// Package layout is how the weights of a plan lie in memory: the form that
// codegen writes and that CPU kernels read from the mapped file, uncopied.
//
// Into it go float32 matrices W [n,k], row-major, one row for each output
// feature; out come bytes, little-endian. The invariant of every view (Panels,
// Tiles, CSR) is that a kernel which trusts it reads nothing outside the bytes
// it was made from and nothing outside a row of k inputs: the Check functions
// establish that for bytes from anywhere, in one pass and without allocating
// what the bytes claim.
//
// All CPU levels share one layout, 16 output features side by side, k
// ascending. So a lane of a vector is always an output, and the order in
// which a sum is taken does not depend on the width of the machine's vectors.
package layout

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"etc/fault"
)

// Width is the number of output features side by side in a panel or tile, and
// the number of inputs in a tile.
const Width = 16

// Align is the alignment in bytes of every array inside a weight, if the
// weight itself has it: one cache line, one 512-bit vector.
const Align = 64

const elemSize = 4 // float32, int32

// maxDim bounds n and k so that indices fit int32 and sums of sizes int64.
const maxDim = math.MaxInt32

// Blocks is the number of blocks of Width that n features need.
func Blocks(n int) int { return (n + Width - 1) / Width }

// product is the product of sizes, or MaxInt, a size no weight has, if that overflows.
func product(sizes ...int) int {
	p := uint64(1)
	for _, s := range sizes {
		hi, lo := bits.Mul64(p, uint64(s))
		if hi != 0 || lo > math.MaxInt {
			return math.MaxInt
		}
		p = lo
	}
	return int(p)
}

func alignUp(n int) int { return (n + Align - 1) &^ (Align - 1) }

func checkDims(what string, n, k int) error {
	if n < 0 || k < 0 || n > maxDim || k > maxDim {
		return fault.Newf(fault.Corrupt, "%s weight: shape [%d %d], want sizes from 0 to %d", what, n, k, maxDim)
	}
	return nil
}

func checkSize(what string, n, k, got, want int) error {
	if got != want {
		return fault.Newf(fault.Corrupt, "%s weight [%d %d]: %d bytes, want %d", what, n, k, got, want)
	}
	return nil
}

// checkAlign refuses bytes that cannot be viewed in place as elements of a size.
func checkAlign(what string, b []byte, size uintptr) error {
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%size != 0 {
		return fault.Newf(fault.Corrupt, "%s weight: not aligned to %d bytes", what, size)
	}
	return nil
}

// floats, ints and masks view bytes in place. Plans are little-endian, and so is
// every machine that maps one.
func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/elemSize)
}

func ints(b []byte) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/elemSize)
}

func masks(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/maskSize)
}

func putFloat(b []byte, i int, v float32) {
	binary.LittleEndian.PutUint32(b[elemSize*i:], math.Float32bits(v))
}

func putInt(b []byte, i int, v int) {
	binary.LittleEndian.PutUint32(b[elemSize*i:], uint32(v))
}

func putMask(b []byte, i int, m uint64) {
	binary.LittleEndian.PutUint64(b[maskSize*i:], m)
}

// checkOffsets insists that offsets ascend from 0. The last is the total, by
// which the bytes were measured.
func checkOffsets(what string, offsets []int32) error {
	last := int32(0)
	if offsets[0] != 0 {
		return fault.Newf(fault.Corrupt, "%s weight: first offset %d, want 0", what, offsets[0])
	}
	for i, o := range offsets {
		if o < last {
			return fault.Newf(fault.Corrupt, "%s weight: offset %d is %d, below the one before it, %d", what, i, o, last)
		}
		last = o
	}
	return nil
}

// checkColumns insists that each row's columns ascend strictly and lie in [0,limit).
// Offsets have been checked.
func checkColumns(what string, offsets, columns []int32, limit int) error {
	for r := range len(offsets) - 1 {
		last := int32(-1)
		for _, c := range columns[offsets[r]:offsets[r+1]] {
			if c <= last || int(c) >= limit {
				return fault.Newf(fault.Corrupt, "%s weight: row %d: column %d after %d, want ascending columns below %d", what, r, c, last, limit)
			}
			last = c
		}
	}
	return nil
}
