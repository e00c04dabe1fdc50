package ptxsim

import "math"

func float(x uint64) float32     { return math.Float32frombits(uint32(x)) }
func bitsOf(f float32) uint64    { return uint64(math.Float32bits(f)) }
func float64Of(x uint64) float64 { return math.Float64frombits(x) }

// flush makes a subnormal float32 a zero of its sign.
func flush(x uint64) uint64 {
	if x&0x7f800000 == 0 {
		return x & 0x80000000
	}
	return x
}

// A rounding is one of PTX's four: to nearest even, to zero, down, up.
type rounding byte

const (
	nearest rounding = iota
	toZero
	down
	up
)

var roundings = map[string]rounding{"rn": nearest, "rz": toZero, "rm": down, "rp": up}

// An exact is a number s+e, where s is the float64 nearest to it.
type exact struct{ s, e float64 }

// sum is x+y without error.
func sum(x, y float64) exact {
	s := x + y
	if math.IsInf(s, 0) || s != s {
		return exact{s, 0}
	}
	t := s - x
	return exact{s, (x - (s - t)) + (y - t)}
}

// odd is the number as a float64 that rounds to any float of at most 51 bits
// as the number itself does: where it is not exact, its last bit is set.
func (n exact) odd() float64 {
	b := math.Float64bits(n.s)
	if n.e == 0 || b&1 != 0 {
		return n.s
	}
	if (n.e > 0) == (n.s > 0) {
		return math.Float64frombits(b + 1)
	}
	return math.Float64frombits(b - 1)
}

// to32 rounds a float64 to float32.
func to32(v float64, r rounding) float32 {
	f := float32(v)
	back := float64(f)
	switch {
	case r == nearest || back == v || v != v:
	case back > v && (r == down || r == toZero && v > 0):
		return math.Nextafter32(f, float32(math.Inf(-1)))
	case back < v && (r == up || r == toZero && v < 0):
		return math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}

// fma32 is x·y+z with one rounding to nearest even.
func fma32(x, y, z uint64) uint64 {
	p, c := float64(float(x))*float64(float(y)), float64(float(z))
	s := p + c
	b := math.Float64bits(s)
	// Rounding twice is wrong only where the first result lies half way between
	// two float32, or is subnormal as one.
	const tie, tail, leastNormal = 1 << 28, 1<<29 - 1, 897
	if b&tail != tie && b>>52&0x7ff >= leastNormal {
		return bitsOf(float32(s))
	}
	return bitsOf(float32(sum(p, c).odd()))
}

// fma32To is x·y+z rounded by r.
func fma32To(x, y, z uint64, r rounding) uint64 {
	return bitsOf(to32(sum(float64(float(x))*float64(float(y)), float64(float(z))).odd(), r))
}

// halfToFloat widens an f16.
func halfToFloat(h uint16) float32 {
	sign, e, m := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch e {
	case 0:
		f := float32(m) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | m<<13)
	}
	return math.Float32frombits(sign | (e+112)<<23 | m<<13)
}

// A narrow format: the bits of its fraction and of its exponent.
type narrow struct{ fraction, exponent int }

var (
	f16  = narrow{10, 5}
	bf16 = narrow{7, 8}
)

// round rounds a float64 to the format; what is too large becomes infinite, or
// the largest number where the rounding is towards it.
func (n narrow) round(v float64, r rounding) uint64 {
	sign := math.Float64bits(v) >> 63 << (n.fraction + n.exponent)
	infinite := uint64(1<<n.exponent-1) << n.fraction
	a := math.Abs(v)
	switch {
	case v != v:
		return 1<<(n.fraction+n.exponent) - 1 // the canonical NaN, 0x7fff
	case math.IsInf(v, 0):
		return sign | infinite
	}
	bias := 1<<(n.exponent-1) - 1
	e := max(int(math.Float64bits(a)>>52&0x7ff)-1023, 1-bias)
	units := math.Ldexp(a, n.fraction-e) // the last place is 1
	negative := sign != 0
	switch {
	case r == nearest:
		units = math.RoundToEven(units)
	case r == up && !negative || r == down && negative:
		units = math.Ceil(units)
	default:
		units = math.Floor(units)
	}
	// A carry into the next exponent comes out right: fraction and exponent
	// are one number.
	b := uint64(e+bias-1)<<n.fraction + uint64(units)
	if b >= infinite && (r == toZero || r == down && !negative || r == up && negative) {
		b = infinite - 1
	}
	return sign | min(b, infinite)
}

// floatToHalf rounds to the nearest f16.
func floatToHalf(f float32) uint64 {
	b := math.Float32bits(f)
	a := b & 0x7fffffff
	if a >= 0x477fe000 { // at the upper end of f16, or beyond
		return f16.round(float64(f), nearest)
	}
	if a < 0x38800000 { // subnormal as f16: whole units of 2^-24
		return uint64(b>>16&0x8000) | uint64(math.RoundToEven(math.Abs(float64(f))*(1<<24)))
	}
	a -= 0x38000000
	return uint64(b>>16&0x8000 | (a+0xfff+a>>13&1)>>13)
}

// floatToBrain rounds to the nearest bf16.
func floatToBrain(f float32) uint64 {
	b := math.Float32bits(f)
	if f != f {
		return 0x7fff
	}
	return uint64(b+0x7fff+b>>16&1) >> 16
}
