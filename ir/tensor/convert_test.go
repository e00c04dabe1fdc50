package tensor

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// nearest16 is the 16-bit number nearest to x, ties to the even one, found by
// bisection over all non-negative ones in float64, where all differences of
// neighbours are exact.
func nearest16(x float64, value func(uint16) float32, infinity uint16) uint16 {
	a := math.Abs(x)
	low, high := uint16(0), infinity
	for high-low > 1 {
		if mid := low + (high-low)/2; float64(value(mid)) <= a {
			low = mid
		} else {
			high = mid
		}
	}
	next := float64(value(high))
	if high == infinity { // overflow rounds as if the exponents went on
		next = 2*float64(value(low)) - float64(value(low-1))
	}
	if middle := (float64(value(low)) + next) / 2; a > middle || a == middle && low&1 == 1 {
		low = high
	}
	if math.Signbit(x) {
		low |= 0x8000
	}
	return low
}

// TestConvertRoundsOnce converts float64 near midpoints of the narrow type,
// where a step through float32 would round twice.
func TestConvertRoundsOnce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		d        DType
		value    func(uint16) float32
		infinity uint16
	}{{F16, F16ToF32, 0x7c00}, {BF16, BF16ToF32, 0x7f80}} {
		for range 20000 {
			h := uint16(rnd.Uint32()) % (c.infinity - 1)
			middle := (float64(c.value(h)) + float64(c.value(h+1))) / 2
			x := middle * (1 + float64(rnd.IntN(5)-2)*math.Pow(2, -float64(20+rnd.IntN(33))))
			if rnd.IntN(2) == 0 {
				x = -x
			}
			got := binary.LittleEndian.Uint16(FromFloat64s([]int{1}, []float64{x}).Convert(c.d).Data)
			if want := nearest16(x, c.value, c.infinity); got != want {
				t.Fatalf("%v of %x: %#04x, want %#04x", c.d, x, got, want)
			}
		}
	}
	for x, want := range map[float64]uint16{math.Inf(1): 0x7c00, math.Inf(-1): 0xfc00, 65520: 0x7c00, 65519.99: 0x7bff, 1e300: 0x7c00, 1e-300: 0, -1e-300: 0x8000} {
		if got := binary.LittleEndian.Uint16(FromFloat64s([]int{1}, []float64{x}).Convert(F16).Data); got != want {
			t.Errorf("f16 of %g: %#04x, want %#04x", x, got, want)
		}
	}
	if v := FromFloat64s([]int{1}, []float64{math.NaN()}).Convert(F16).Float64s()[0]; v == v {
		t.Errorf("f16 of NaN: %v", v)
	}
}
