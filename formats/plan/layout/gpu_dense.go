package layout

import (
	"encoding/binary"
	"math"
	"unsafe"

	"etc/fault"
)

// The layouts for GPUs hold elements of two bytes, f16 or bf16: which of the
// two, these functions need not know. They take and give the bits of elements
// that the caller has rounded, so that it can refuse what does not fit an f16.

const halfSize = 2 // f16, bf16

// vectorHalves is the number of elements that a kernel copies at once, 16 bytes.
const vectorHalves = 8

// Padded is a dense matrix W [N,K] or a table of N rows: row i is
// Values[i·PaddedWidth(K)] and on, and what follows its K elements is zero. So
// each row begins at a multiple of 16 bytes.
type Padded struct {
	N, K   int
	Values []uint16
}

// PaddedWidth is the number of elements from one row to the next, k rounded up to 8.
func PaddedWidth(k int) int { return (k + vectorHalves - 1) &^ (vectorHalves - 1) }

// PaddedBytes is the size of an [n,k] matrix; MaxInt if that is no size.
func PaddedBytes(n, k int) int {
	if k > math.MaxInt-vectorHalves {
		return math.MaxInt
	}
	return product(n, PaddedWidth(k), halfSize)
}

// PackPadded is w [n,k], row-major.
func PackPadded(w []uint16, n, k int) []byte {
	checkElements("PackPadded", w, n, k)
	b := make([]byte, PaddedBytes(n, k))
	for i := range n {
		for c, v := range w[i*k : (i+1)*k] {
			putHalf(b, i*PaddedWidth(k)+c, v)
		}
	}
	return b
}

// CheckPadded views b as an [n,k] matrix.
func CheckPadded(n, k int, b []byte) (Padded, error) {
	const what = "padded"
	if err := checkDims(what, n, k); err != nil {
		return Padded{}, err
	}
	if err := checkSize(what, n, k, len(b), PaddedBytes(n, k)); err != nil {
		return Padded{}, err
	}
	if err := checkAlign(what, b, halfSize); err != nil {
		return Padded{}, err
	}
	w := Padded{n, k, halves(b)}
	width := PaddedWidth(k)
	if width == k {
		return w, nil // n is bounded by no byte where k is 0, so no loop over it
	}
	for i := range n {
		if !zeros(w.Values[i*width+k : (i+1)*width]) {
			return Padded{}, fault.Newf(fault.Corrupt, "padded weight [%d %d]: padding of row %d is not zero", n, k, i)
		}
	}
	return w, nil
}

// Unpack is W [N,K], row-major.
func (w Padded) Unpack() []uint16 {
	d := make([]uint16, 0, w.N*w.K)
	for i := range w.N {
		d = append(d, w.Values[i*PaddedWidth(w.K):][:w.K]...)
	}
	return d
}

// checkElements insists that w has the elements of an [n,k] matrix.
func checkElements(what string, w []uint16, n, k int) {
	if len(w) != n*k {
		panic("bug: " + what + ": sizes do not agree")
	}
}

// halves views b in place as elements of two bytes.
func halves(b []byte) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/halfSize)
}

func words(b []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/elemSize)
}

func putHalf(b []byte, i int, v uint16) { binary.LittleEndian.PutUint16(b[halfSize*i:], v) }

func putWord(b []byte, i int, v uint32) { binary.LittleEndian.PutUint32(b[elemSize*i:], v) }

// signBit is the sign of an element; the rest is zero in +0 and -0 alone.
const signBit = 1 << 15

// isZero reports whether an element, f16 or bf16, is +0 or -0.
func isZero(v uint16) bool { return v&^signBit == 0 }

func zeros(v []uint16) bool {
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}
