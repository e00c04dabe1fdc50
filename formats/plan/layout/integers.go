package layout

import (
	"math"
)

// An Int is a type of integers that products are taken in. Its value is the
// bytes of one.
type Int int

const (
	Int8  Int = 1
	Int16 Int = 2
)

const (
	stepBytes = 4     // a lane's inputs of one step
	norm16    = 32700 // Euclidean norm of a row of int16
	most8     = 127   // largest magnitude in a row of int8

	// leastRow is the size below which a row counts as zero: from here on both
	// the factor and its inverse are normal float32.
	leastRow = 1.0 / (1 << 50) / (1 << 50)
)

// Most8Inputs is the most inputs of a product in int8: 127²·2¹⁷ < 2³¹, and a
// sum of so many weights is exact in float32.
const Most8Inputs = 1 << 17

// StepInputs is the number of inputs that a lane takes in one step, four bytes.
func (t Int) StepInputs() int { return stepBytes / int(t) }

// Steps is the number of steps that k inputs take.
func (t Int) Steps(k int) int { return (k + t.StepInputs() - 1) / t.StepInputs() }

// Quantise writes the integers q of a row x, one for each value, and returns
// the value of one unit:
//
//	q_k = round(x_k·f), x ≈ unit·q
//
// f = 32700/‖x‖ for int16: by Cauchy–Schwarz no sum of products of two such
// rows leaves int32. f = 127/max|x| for int8. A row whose size is below 2⁻¹⁰⁰
// is all zeros, unit 0; one with a value that is not finite has unit NaN.
func (t Int) Quantise(q []int16, x []float32) (unit float32) {
	factor, unit := t.Scales(x)
	for k, v := range x {
		q[k] = 0
		if factor != 0 {
			q[k] = Round(v, factor)
		}
	}
	return unit
}

// Round is the integer of a value v of a row with that factor. The product is
// rounded to float32, then to an integer, ties to even.
func Round(v, factor float32) int16 { return int16(math.RoundToEven(float64(v * factor))) }

// Scales are the factor of a row x and the value of one unit. The factor is 0
// where all integers are.
func (t Int) Scales(x []float32) (factor, unit float32) {
	if t == Int8 {
		return Scales8(MaxBits(x))
	}
	return Scales16(SumSquares(x))
}

// Scales16 are the Scales of a row of int16 with that sum of squares.
func Scales16(squares float64) (factor, unit float32) {
	switch norm := math.Sqrt(squares); {
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		return 0, float32(math.NaN())
	case norm < leastRow:
		return 0, 0
	default:
		return float32(norm16 / norm), float32(norm / norm16)
	}
}

// Scales8 are the Scales of a row of int8 with those MaxBits.
func Scales8(bits uint32) (factor, unit float32) {
	switch most := math.Float32frombits(bits); {
	case bits >= infinityBits:
		return 0, float32(math.NaN())
	case most < leastRow:
		return 0, 0
	default:
		return most8 / most, most / most8
	}
}

const (
	infinityBits  = 0x7f800000
	magnitudeBits = 0x7fffffff
)

// MaxBits is the largest magnitude of x as the bits of a float32. NaN has more
// than infinity, and that more than any number.
func MaxBits(x []float32) uint32 {
	most := uint32(0)
	for _, v := range x {
		most = max(most, math.Float32bits(v)&magnitudeBits)
	}
	return most
}

// SumSquares is Σx² in float64: 16 lanes, each over every 16th value,
// ascending; then lanes i and i+8 are added, i and i+4, i+2, i+1. A square of
// a float32 is exact in float64, so a fused multiply-add changes nothing.
func SumSquares(x []float32) float64 {
	var s [Width]float64
	for i, v := range x {
		s[i%Width] += float64(v) * float64(v)
	}
	return FoldSquares(&s)
}

// FoldSquares adds the lanes of SumSquares.
func FoldSquares(s *[Width]float64) float64 {
	for half := Width / 2; half > 0; half /= 2 {
		for i := range half {
			s[i] += s[i+half]
		}
	}
	return s[0]
}
