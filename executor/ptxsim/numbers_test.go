package ptxsim_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// An opcode case: operands are a, b and c of `bits` bits, the result has
// `result` bits. NaN results are equal.
type opcodeCase struct {
	op           string
	bits, result int
	operands     int
	want         func(a, b, c uint64) uint64
}

func f32(x uint64) float32    { return math.Float32frombits(uint32(x)) }
func b32(f float32) uint64    { return uint64(math.Float32bits(f)) }
func f64(x uint64) float64    { return math.Float64frombits(x) }
func s32(x uint64) int64      { return int64(int32(x)) }
func s16(x uint64) int64      { return int64(int16(x)) }
func low32(x int64) uint64    { return uint64(uint32(x)) }
func boolean(b bool) uint64   { return map[bool]uint64{true: 1}[b] }
func nonzero(x uint64) uint64 { return max(x, 1) }

// exactFMA is a·b+c rounded once, by big numbers.
func exactFMA(a, b, c float32, mode big.RoundingMode) uint64 {
	for _, v := range []float32{a, b, c} {
		if math.IsInf(float64(v), 0) || v != v {
			return b32(float32(float64(a)*float64(b) + float64(c)))
		}
	}
	x := new(big.Float).SetPrec(2000).SetFloat64(float64(a))
	x.Mul(x, new(big.Float).SetPrec(2000).SetFloat64(float64(b)))
	x.Add(x, new(big.Float).SetPrec(2000).SetFloat64(float64(c)))
	if x.Sign() == 0 {
		return b32(float32(float64(a)*float64(b) + float64(c)))
	}
	return b32(roundBig(x, mode))
}

// roundBig rounds to float32 by mode: the two neighbours are compared.
func roundBig(x *big.Float, mode big.RoundingMode) float32 {
	near, _ := x.Float32()
	c := x.Cmp(new(big.Float).SetFloat64(float64(near)))
	if math.IsInf(float64(near), 0) {
		c = -int(math.Copysign(1, float64(near)))
	}
	switch {
	case mode == big.ToNegativeInf && c < 0, mode == big.ToZero && c < 0 && x.Sign() > 0:
		return math.Nextafter32(near, float32(math.Inf(-1)))
	case mode == big.ToPositiveInf && c > 0, mode == big.ToZero && c > 0 && x.Sign() < 0:
		return math.Nextafter32(near, float32(math.Inf(1)))
	}
	return near
}

var opcodeCases = []opcodeCase{
	{"add.s32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(s32(a) + s32(b)) }},
	{"sub.u32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(s32(a) - s32(b)) }},
	{"mul.lo.s32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(s32(a) * s32(b)) }},
	{"mul.hi.s32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(s32(a) * s32(b) >> 32) }},
	{"mul.hi.u32", 32, 32, 2, func(a, b, _ uint64) uint64 { return a * b >> 32 }},
	{"mul.hi.u64", 64, 64, 2, func(a, b, _ uint64) uint64 { h, _ := bits.Mul64(a, b); return h }},
	{"mul.hi.s64", 64, 64, 2, func(a, b, _ uint64) uint64 {
		p := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(b)))
		return uint64(p.Rsh(p, 64).Int64())
	}},
	{"mul.wide.s32", 32, 64, 2, func(a, b, _ uint64) uint64 { return uint64(s32(a) * s32(b)) }},
	{"mul.wide.u32", 32, 64, 2, func(a, b, _ uint64) uint64 { return a * b }},
	{"mul.wide.s16", 16, 32, 2, func(a, b, _ uint64) uint64 { return low32(s16(a) * s16(b)) }},
	{"mul.wide.u16", 16, 32, 2, func(a, b, _ uint64) uint64 { return a * b }},
	{"mad.lo.s32", 32, 32, 3, func(a, b, c uint64) uint64 { return low32(s32(a)*s32(b) + s32(c)) }},
	{"mad.lo.s64", 64, 64, 3, func(a, b, c uint64) uint64 { return a*b + c }},
	{"add.s64", 64, 64, 2, func(a, b, _ uint64) uint64 { return a + b }},
	{"add.s16", 16, 16, 2, func(a, b, _ uint64) uint64 { return uint64(uint16(a + b)) }},
	{"div.s32", 32, 32, 2, func(a, b, _ uint64) uint64 {
		if b == 0 {
			return math.MaxUint32
		}
		return low32(s32(a) / s32(b))
	}},
	{"rem.s32", 32, 32, 2, func(a, b, _ uint64) uint64 {
		if b == 0 {
			return a
		}
		return low32(s32(a) % s32(b))
	}},
	{"div.u32", 32, 32, 2, func(a, b, _ uint64) uint64 {
		if b == 0 {
			return math.MaxUint32
		}
		return a / b
	}},
	{"rem.u64", 64, 64, 2, func(a, b, _ uint64) uint64 { return a%nonzero(b)*boolean(b != 0) + a*boolean(b == 0) }},
	{"min.s32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(min(s32(a), s32(b))) }},
	{"max.u32", 32, 32, 2, func(a, b, _ uint64) uint64 { return max(a, b) }},
	{"min.s64", 64, 64, 2, func(a, b, _ uint64) uint64 { return uint64(min(int64(a), int64(b))) }},
	{"max.s16", 16, 16, 2, func(a, b, _ uint64) uint64 { return uint64(uint16(max(s16(a), s16(b)))) }},
	{"abs.s32", 32, 32, 1, func(a, _, _ uint64) uint64 { return low32(max(s32(a), -s32(a))) }},
	{"neg.s64", 64, 64, 1, func(a, _, _ uint64) uint64 { return -a }},
	{"and.b64", 64, 64, 2, func(a, b, _ uint64) uint64 { return a & b }},
	{"or.b16", 16, 16, 2, func(a, b, _ uint64) uint64 { return a | b }},
	{"xor.b32", 32, 32, 2, func(a, b, _ uint64) uint64 { return a ^ b }},
	{"not.b32", 32, 32, 1, func(a, _, _ uint64) uint64 { return uint64(^uint32(a)) }},
	{"popc.b32", 32, 32, 1, func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount32(uint32(a))) }},
	{"clz.b32", 32, 32, 1, func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros32(uint32(a))) }},
	{"brev.b32", 32, 32, 1, func(a, _, _ uint64) uint64 { return uint64(bits.Reverse32(uint32(a))) }},
	{"bfind.u32", 32, 32, 1, func(a, _, _ uint64) uint64 { return low32(int64(bits.Len32(uint32(a))) - 1) }},
	{"bfind.shiftamt.u32", 32, 32, 1, func(a, _, _ uint64) uint64 {
		if a == 0 {
			return math.MaxUint32
		}
		return uint64(bits.LeadingZeros32(uint32(a)))
	}},
	{"shf.l.wrap.b32", 32, 32, 3, func(a, b, c uint64) uint64 { return low32(int64((b<<32 | a) << (c & 31) >> 32)) }},
	{"shf.r.clamp.b32", 32, 32, 3, func(a, b, c uint64) uint64 { return low32(int64((b<<32 | a) >> min(c, 32))) }},
	{"shl.b32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(int64(a << min(b, 63))) }},
	{"shr.s32", 32, 32, 2, func(a, b, _ uint64) uint64 { return low32(s32(a) >> min(b, 31)) }},
	{"prmt.b32", 32, 32, 3, func(a, b, c uint64) uint64 {
		all := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(a)), uint32(b))
		var r [4]byte
		for i := range r {
			digit := c >> (4 * i)
			r[i] = all[digit&7]
			if digit&8 != 0 {
				r[i] = byte(int8(r[i]) >> 7)
			}
		}
		return uint64(binary.LittleEndian.Uint32(r[:]))
	}},
	{"add.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return b32(f32(a) + f32(b)) }},
	{"sub.rn.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return b32(f32(a) - f32(b)) }},
	{"mul.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return b32(f32(a) * f32(b)) }},
	{"div.rn.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return b32(f32(a) / f32(b)) }},
	{"fma.rn.f32", 32, 32, 3, func(a, b, c uint64) uint64 { return exactFMA(f32(a), f32(b), f32(c), big.ToNearestEven) }},
	{"fma.rm.f32", 32, 32, 3, func(a, b, c uint64) uint64 { return exactFMA(f32(a), f32(b), f32(c), big.ToNegativeInf) }},
	{"fma.rp.f32", 32, 32, 3, func(a, b, c uint64) uint64 { return exactFMA(f32(a), f32(b), f32(c), big.ToPositiveInf) }},
	{"fma.rz.f32", 32, 32, 3, func(a, b, c uint64) uint64 { return exactFMA(f32(a), f32(b), f32(c), big.ToZero) }},
	{"add.rm.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return exactFMA(f32(a), 1, f32(b), big.ToNegativeInf) }},
	{"mul.rz.f32", 32, 32, 2, func(a, b, _ uint64) uint64 {
		return exactFMA(f32(a), f32(b), float32(math.Copysign(0, -1)), big.ToZero)
	}},
	{"sqrt.rn.f32", 32, 32, 1, func(a, _, _ uint64) uint64 { return b32(float32(math.Sqrt(float64(f32(a))))) }},
	{"rcp.rn.f32", 32, 32, 1, func(a, _, _ uint64) uint64 { return b32(1 / f32(a)) }},
	{"neg.f32", 32, 32, 1, func(a, _, _ uint64) uint64 { return a ^ 1<<31 }},
	{"abs.f32", 32, 32, 1, func(a, _, _ uint64) uint64 { return a &^ (1 << 31) }},
	{"copysign.f32", 32, 32, 2, func(a, b, _ uint64) uint64 { return b32(float32(math.Copysign(float64(f32(b)), float64(f32(a))))) }},
	{"max.f32", 32, 32, 2, func(a, b, _ uint64) uint64 {
		switch {
		case f32(a) != f32(a):
			return b
		case f32(b) != f32(b):
			return a
		}
		return b32(max(f32(a), f32(b)))
	}},
	{"fma.rn.f64", 64, 64, 3, func(a, b, c uint64) uint64 { return math.Float64bits(math.FMA(f64(a), f64(b), f64(c))) }},
	{"add.f64", 64, 64, 2, func(a, b, _ uint64) uint64 { return math.Float64bits(f64(a) + f64(b)) }},
	{"cvt.s64.s32", 32, 64, 1, func(a, _, _ uint64) uint64 { return uint64(s32(a)) }},
	{"cvt.u64.u32", 32, 64, 1, func(a, _, _ uint64) uint64 { return a }},
	{"cvt.u32.u64", 64, 32, 1, func(a, _, _ uint64) uint64 { return uint64(uint32(a)) }},
	{"cvt.s32.s16", 16, 32, 1, func(a, _, _ uint64) uint64 { return low32(s16(a)) }},
	{"cvt.s32.s8", 32, 32, 1, func(a, _, _ uint64) uint64 { return low32(int64(int8(a))) }},
	{"cvt.u16.u32", 32, 16, 1, func(a, _, _ uint64) uint64 { return uint64(uint16(a)) }},
	{"cvt.sat.u8.s32", 32, 32, 1, func(a, _, _ uint64) uint64 { return uint64(min(max(s32(a), 0), 255)) }},
	{"cvt.rn.f32.s32", 32, 32, 1, func(a, _, _ uint64) uint64 { return b32(float32(int32(a))) }},
	{"cvt.rn.f32.u64", 64, 32, 1, func(a, _, _ uint64) uint64 { return b32(float32(a)) }},
	{"cvt.rzi.s32.f32", 32, 32, 1, func(a, _, _ uint64) uint64 {
		v := math.Trunc(float64(f32(a)))
		switch {
		case v != v:
			return 0
		case v >= 1<<31:
			return 1<<31 - 1
		case v < -1<<31:
			return 1 << 31
		}
		return low32(int64(v))
	}},
	{"cvt.rni.f32.f32", 32, 32, 1, func(a, _, _ uint64) uint64 { return b32(float32(math.RoundToEven(float64(f32(a))))) }},
	{"cvt.f64.f32", 32, 64, 1, func(a, _, _ uint64) uint64 { return math.Float64bits(float64(f32(a))) }},
	{"cvt.rn.f32.f64", 64, 32, 1, func(a, _, _ uint64) uint64 { return b32(float32(f64(a))) }},
	{"cvt.sat.f32.f32", 32, 32, 1, func(a, _, _ uint64) uint64 {
		if v := f32(a); v > 0 {
			return b32(min(v, 1))
		}
		return 0
	}},
}

// interesting values come more often than by chance.
var interesting = []uint64{0, 1, 2, 31, 32, 33, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff,
	b32(1), b32(-1), b32(0.5), b32(2.5), b32(-2.5), b32(0x1p-126), b32(0x1p-149), b32(float32(math.Inf(1))), 0x7fc00000, 0x7f7fffff,
	math.Float64bits(1), math.Float64bits(-0.75), math.MaxInt64, 1 << 63, math.MaxUint64}

func operandOf(r *rand.Rand, n int) uint64 {
	x := r.Uint64()
	switch r.IntN(4) {
	case 0:
		x = interesting[r.IntN(len(interesting))]
	case 1: // floats of like size
		x = b32(float32(r.NormFloat64())) | math.Float64bits(r.NormFloat64())&^math.MaxUint32
	}
	if n < 64 {
		x &= 1<<n - 1
	}
	return x
}

func registerOf(n int) string { return map[int]string{16: "%rs", 32: "%r", 64: "%rd"}[n] }

func TestOpcodesMeanWhatGoMeans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range opcodeCases {
		load := ""
		names := ""
		shift := map[int]int{16: 1, 32: 2, 64: 3}
		for i := range c.operands {
			reg := registerOf(c.bits) + string(rune('8'+i))
			if i == 2 {
				reg = registerOf(c.bits) + "10"
			}
			width := c.bits
			if i > 0 && slices.Contains([]string{"shl.b32", "shr.s32"}, c.op) {
				width = 32
			}
			load += "\tld.global.b" + itoa(width) + " " + reg + ", [%rd20+" + itoa(1024*i) + "];\n"
			names += ", " + reg
		}
		result := registerOf(c.result) + "12"
		body := "\tshl.b32 %r20, %r1, " + itoa(shift[c.bits]) + "; cvt.u64.u32 %rd20, %r20; add.s64 %rd20, %rd20, %rd2;\n" +
			"\tshl.b32 %r21, %r1, " + itoa(shift[c.result]) + "; cvt.u64.u32 %rd21, %r21; add.s64 %rd21, %rd21, %rd1;\n" +
			load + "\t" + c.op + " " + result + names + ";\n\tst.global.b" + itoa(c.result) + " [%rd21], " + result + ";\n"
		for range 20 {
			from := make([]byte, fromBytes)
			var v [3][32]uint64
			for i := range v {
				for lane := range v[i] {
					v[i][lane] = operandOf(r, c.bits)
					put(from[1024*i+lane*c.bits/8:], v[i][lane], c.bits)
				}
			}
			out, _, err := trial{threads: 32, from: from}.run(t, sample("", body))
			if err != nil {
				t.Fatalf("%s: %v", c.op, err)
			}
			for lane := range 32 {
				got, want := get(out[lane*c.result/8:], c.result), c.want(v[0][lane], v[1][lane], v[2][lane])
				if got != want && !(isNaN(c, got) && isNaN(c, want)) {
					t.Fatalf("%s %#x %#x %#x: %#x, want %#x", c.op, v[0][lane], v[1][lane], v[2][lane], got, want)
				}
			}
		}
	}
}

// The float64 nearest to a·b+c lies half way between two float32, the sum
// itself below: rounding twice would go up.
func TestFMARoundsOnce(t *testing.T) {
	from := make([]byte, 12)
	for i, v := range []float32{0x1p-12 * (1 + 0x1p-15), 0x1p-12 * (1 - 0x1p-15), 1 + 0x1p-23} {
		put(from[4*i:], b32(v), 32)
	}
	out, _, err := trial{from: from}.run(t, sample("", `
	ld.global.f32 %f1, [%rd2]; ld.global.f32 %f2, [%rd2+4]; ld.global.f32 %f3, [%rd2+8];
	fma.rn.f32 %f4, %f1, %f2, %f3; st.global.f32 [%rd1], %f4;`))
	if got := f32(get(out, 32)); err != nil || got != 1+0x1p-23 {
		t.Errorf("%v, %v", got, err)
	}
}

func isNaN(c opcodeCase, x uint64) bool {
	if c.result == 64 {
		return f64(x) != f64(x)
	}
	return f32(x) != f32(x)
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

func put(b []byte, x uint64, n int) {
	for i := range n / 8 {
		b[i] = byte(x >> (8 * i))
	}
}

func get(b []byte, n int) (x uint64) {
	for i := range n / 8 {
		x |= uint64(b[i]) << (8 * i)
	}
	return x
}
