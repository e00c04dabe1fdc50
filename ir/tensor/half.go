package tensor

import "math"

// F16ToF32 widens an IEEE 754 binary16 value, subnormals, infinities and NaN included.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	v := float32(frac) * (1.0 / (1 << 24)) // subnormal: frac · 2⁻²⁴, exact
	return math.Float32frombits(sign | math.Float32bits(v))
}

// F32ToF16 rounds to the nearest binary16, ties to even; what is too large becomes infinite.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN keeps its top bits and stays a NaN
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x47800000: // ≥ 65536
		return sign | 0x7c00
	case b >= 0x38800000: // normal in binary16
		return sign | uint16((b-0x38000000+0xfff+b>>13&1)>>13)
	}
	// Subnormal in binary16: adding 0.5 leaves round(f·2²⁴) in the low bits.
	v := math.Float32frombits(b) + 0.5
	return sign | uint16(math.Float32bits(v)-0x3f000000)
}

// BF16ToF32 widens a bfloat16 value.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds to the nearest bfloat16, ties to even.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// f64ToOddF32 narrows x for a second rounding: of the two float32 around an
// inexact x it takes the one with an odd last bit, which no midpoint of a
// narrower type has, so that rounding to F16 or BF16 then equals rounding x once.
func f64ToOddF32(x float64) float32 {
	f := float32(x)
	b := math.Float32bits(f)
	if float64(f) == x || x != x || b&1 == 1 {
		return f
	}
	if math.Abs(float64(f)) < math.Abs(x) {
		return math.Float32frombits(b + 1)
	}
	return math.Float32frombits(b - 1)
}
