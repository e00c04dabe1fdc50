package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// A Tensor is an array of DType elements of the given shape, row-major and
// little-endian. Data may be a view of a mapped file: it is never written.
type Tensor struct {
	DType DType
	Shape []int
	Data  []byte
}

// Elements is the number of elements of a shape; ok is false where a
// dimension is negative or the product leaves int.
func Elements(shape []int) (n int, ok bool) {
	n = 1
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = int(lo)
	}
	return n, true
}

// Len is the number of elements.
func (t Tensor) Len() int { return len(t.Data) / t.DType.Size() }

func (t Tensor) String() string { return fmt.Sprintf("%v%v", t.DType, t.Shape) }

// FromFloat64s makes an F64 tensor.
func FromFloat64s(shape []int, v []float64) Tensor {
	b := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(b[8*i:], math.Float64bits(x))
	}
	return Tensor{F64, shape, b}
}

// FromFloat32s makes an F32 tensor.
func FromFloat32s(shape []int, v []float32) Tensor {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return Tensor{F32, shape, b}
}

// FromInt32s makes an I32 tensor.
func FromInt32s(shape []int, v []int32) Tensor {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(x))
	}
	return Tensor{I32, shape, b}
}

// Float64s copies the elements of a float tensor; the values are exact.
func (t Tensor) Float64s() []float64 {
	v := make([]float64, t.Len())
	switch b := t.Data; t.DType {
	case F64:
		for i := range v {
			v[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case F32:
		for i := range v {
			v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
	case F16:
		for i := range v {
			v[i] = float64(F16ToF32(binary.LittleEndian.Uint16(b[2*i:])))
		}
	case BF16:
		for i := range v {
			v[i] = float64(BF16ToF32(binary.LittleEndian.Uint16(b[2*i:])))
		}
	default:
		panic("bug: tensor: Float64s of " + t.DType.String())
	}
	return v
}

// Float32s copies the elements of a float tensor; only those of F64 are rounded.
func (t Tensor) Float32s() []float32 {
	v := make([]float32, t.Len())
	switch b := t.Data; t.DType {
	case F64:
		for i := range v {
			v[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	case F32:
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case F16:
		for i := range v {
			v[i] = F16ToF32(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case BF16:
		for i := range v {
			v[i] = BF16ToF32(binary.LittleEndian.Uint16(b[2*i:]))
		}
	default:
		panic("bug: tensor: Float32s of " + t.DType.String())
	}
	return v
}

// Int32s copies the elements of an I32 tensor.
func (t Tensor) Int32s() []int32 {
	if t.DType != I32 {
		panic("bug: tensor: Int32s of " + t.DType.String())
	}
	v := make([]int32, t.Len())
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return v
}

// Convert returns the elements of a float tensor as dtype d, each rounded once.
func (t Tensor) Convert(d DType) Tensor {
	switch {
	case d == t.DType:
		return t
	case d == F64:
		return FromFloat64s(t.Shape, t.Float64s())
	case d == F32:
		return FromFloat32s(t.Shape, t.Float32s())
	}
	b := make([]byte, 2*t.Len())
	for i, x := range t.narrowed() {
		h := F32ToBF16(x)
		if d == F16 {
			h = F32ToF16(x)
		}
		binary.LittleEndian.PutUint16(b[2*i:], h)
	}
	return Tensor{d, t.Shape, b}
}

// narrowed is Float32s fit to be rounded again to 16 bits.
func (t Tensor) narrowed() []float32 {
	if t.DType != F64 {
		return t.Float32s()
	}
	v := make([]float32, t.Len())
	for i, x := range t.Float64s() {
		v[i] = f64ToOddF32(x)
	}
	return v
}
