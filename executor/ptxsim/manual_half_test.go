package ptxsim_test

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
)

// A half is one of the two formats of 16 bits. Value is exact for all finite
// patterns; of the pattern of infinity it is the power of two that would come
// after the largest number, which is where rounding to nearest begins to
// give infinity.
type half struct {
	name     string // as PTX spells it
	value    func(bits uint16) float64
	infinity uint16
}

var halves = []half{f16, bf16}

var f16 = half{name: "f16", infinity: 0x7c00, value: func(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&0x1f), float64(bits&0x3ff)
	v := math.Ldexp(mantissa, -24)
	if exponent > 0 {
		v = math.Ldexp(1024+mantissa, exponent-25)
	}
	return math.Copysign(v, 1-float64(bits>>15)*2)
}}

var bf16 = half{name: "bf16", infinity: 0x7f80, value: func(bits uint16) float64 {
	exponent, mantissa := int(bits>>7&0xff), float64(bits&0x7f)
	v := math.Ldexp(mantissa, -133)
	if exponent > 0 {
		v = math.Ldexp(128+mantissa, exponent-134)
	}
	return math.Copysign(v, 1-float64(bits>>15)*2)
}}

// round is the pattern nearest to x, the even one of two as near; x is no NaN.
func (h half) round(x float64) uint16 {
	sign := uint16(0)
	if math.Signbit(x) {
		sign = 0x8000
	}
	x = math.Abs(x)
	if x >= h.value(h.infinity) {
		return sign | h.infinity
	}
	low, high := uint16(0), h.infinity // value(low) <= x < value(high)
	for high-low > 1 {
		if middle := low + (high-low)/2; h.value(middle) <= x {
			low = middle
		} else {
			high = middle
		}
	}
	below, above := x-h.value(low), h.value(high)-x
	if above < below || above == below && low&1 == 1 {
		low = high
	}
	return sign | low
}

// exact is the pattern of x, which must be one of the format's numbers.
func (h half) exact(x float64) uint16 {
	bits := h.round(x)
	if h.value(bits) != x {
		panic(fmt.Sprintf("bug: %v is no %s", x, h.name))
	}
	return bits
}

// The two formats against numbers known from their definitions.
func TestManualHalfFormats(t *testing.T) {
	for _, c := range []struct {
		half half
		bits uint16
		want float64
	}{
		{f16, 0x3c00, 1}, {f16, 0xc000, -2}, {f16, 0x7bff, 65504}, {f16, 0x0001, math.Ldexp(1, -24)}, {f16, 0x0400, math.Ldexp(1, -14)},
		{bf16, 0x3f80, 1}, {bf16, 0xc000, -2}, {bf16, 0x7f7f, float64(math.Float32frombits(0x7f7f0000))}, {bf16, 0x0001, math.Ldexp(1, -133)},
	} {
		if got := c.half.value(c.bits); got != c.want || c.half.round(c.want) != c.bits {
			t.Errorf("%s %#x is %v and %v is %#x", c.half.name, c.bits, got, c.want, c.half.round(c.want))
		}
	}
	if f16.round(65519.99) != 0x7bff || f16.round(65520) != 0x7c00 || f16.round(2049) != f16.exact(2048) || f16.round(2051) != f16.exact(2052) {
		t.Error("rounding to nearest even is off")
	}
}

// roundings are float32 that lie on, beside and between numbers of the format.
func roundings(h half, r *rand.Rand) []uint32 {
	var v []uint32
	for range 2 * warp * 16 {
		low := uint16(r.Intn(int(h.infinity)))
		middle := (h.value(low) + h.value(low+1)) / 2
		bits := math.Float32bits(float32(middle)) // exact: one bit more than a half has
		v = append(v, bits+uint32(r.Intn(3))-1|uint32(r.Intn(2))<<31)
	}
	for range 2 * warp * 8 {
		any := r.Uint32()
		if any>>23&0xff == 0xff { // no NaN here
			any &= 0xff7fffff
		}
		v = append(v, math.Float32bits(float32(h.value(uint16(r.Intn(int(h.infinity)))))), any)
	}
	return append(v, words32(0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat32, 65519, 65520, -65520,
		math.SmallestNonzeroFloat32, -1, 1, 2049, 2051, 257, 258, 259)...)
}

// words32 are the patterns of v as float32.
func words32(v ...float64) []uint32 {
	w := make([]uint32, len(v))
	for i, x := range v {
		w[i] = math.Float32bits(float32(x))
	}
	return w
}

// "cvt": "the value converted from input a is stored in the upper half of d
// and the value converted from input b is stored in the lower half".
func TestManualConversionPacks(t *testing.T) {
	for _, h := range halves {
		records := roundings(h, rand.New(rand.NewSource(8)))
		for len(records)%(2*warp) != 0 {
			records = append(records, math.Float32bits(float32(len(records))))
		}
		convert := func(bits uint32) uint32 { return uint32(h.round(float64(math.Float32frombits(bits)))) }
		cut := func(bits uint32) uint32 {
			return convert(bits &^ (1<<uint(map[string]int{"f16": 13, "bf16": 16}[h.name]) - 1))
		}
		body := fmt.Sprintf("\tmov.b32 %%f0, %%i0;\n\tmov.b32 %%f1, %%i1;\n\tcvt.rn.%sx2.f32 %%o0, %%f0, %%f1;\n", h.name)
		program{in: 2, out: 1, body: body}.compare(t, records,
			func(v []uint32) []uint32 { return []uint32{convert(v[0])<<16 | convert(v[1])} },
			map[string]reference{
				"first low":      func(v []uint32) []uint32 { return []uint32{convert(v[1])<<16 | convert(v[0])} },
				"cut, not round": func(v []uint32) []uint32 { return []uint32{cut(v[0])<<16 | cut(v[1])} },
			})
		// One value: the low 16 bits, and the halves of a pair back to float32.
		body = fmt.Sprintf("\tmov.b32 %%f0, %%i0;\n\tcvt.rn.%s.f32 %%rs0, %%f0;\n\tmov.b32 %%o0, {%%rs0, %%rs0};\n", h.name)
		program{in: 1, out: 1, body: body}.compare(t, records,
			func(v []uint32) []uint32 { return []uint32{convert(v[0]) * 0x10001} }, nil)
	}
	body := "\tmov.b32 {%rs0, %rs1}, %i0;\n\tcvt.f32.f16 %f0, %rs0;\n\tcvt.f32.f16 %f1, %rs1;\n\tmov.b32 %o0, %f0;\n\tmov.b32 %o1, %f1;\n"
	var records []uint32
	for bits := range uint32(0x7c00) {
		records = append(records, bits|(0xfbff-bits)<<16)
	}
	program{in: 1, out: 2, body: body}.compare(t, records,
		func(v []uint32) []uint32 { return words32(f16.value(uint16(v[0])), f16.value(uint16(v[0]>>16))) },
		map[string]reference{
			"first high": func(v []uint32) []uint32 { return words32(f16.value(uint16(v[0]>>16)), f16.value(uint16(v[0]))) },
		})
}
