package ptxsim

import "math"

// A numberType reads and rounds one kind of float.
type numberType struct {
	bits  int
	value func(x uint64) float64
	round func(v float64, r rounding) uint64
}

var numberTypes = map[string]numberType{
	"f16":  {16, func(x uint64) float64 { return float64(halfToFloat(uint16(x))) }, f16.round},
	"bf16": {16, func(x uint64) float64 { return float64(float(x << 16)) }, bf16.round},
	"f32":  {32, func(x uint64) float64 { return float64(float(x)) }, func(v float64, r rounding) uint64 { return bitsOf(to32(v, r)) }},
	"f64":  {64, float64Of, func(v float64, _ rounding) uint64 { return math.Float64bits(v) }},
}

// halves enters the arithmetic of f16 and bf16, one or two to a register.
func (t table) halves() {
	for _, name := range []string{"f16", "bf16"} {
		n := numberTypes[name]
		two := func(names string, f func(x, y float64) float64) {
			g := func(x, y uint64) uint64 { return n.round(f(n.value(x), n.value(y)), nearest) }
			t.two(each(names, name), "hhh", g)
			t.two(each(names, name+"x2"), "www", func(x, y uint64) uint64 { return g(x>>16, y>>16)<<16 | g(x&0xffff, y&0xffff) })
		}
		two("add.% add.rn.%", func(x, y float64) float64 { return sum(x, y).odd() })
		two("sub.% sub.rn.%", func(x, y float64) float64 { return sum(x, -y).odd() })
		two("mul.% mul.rn.%", func(x, y float64) float64 { return x * y })
		two("min.%", func(x, y float64) float64 {
			if x != x || y < x || y == x && math.Signbit(y) {
				return y
			}
			return x
		})
		two("max.%", func(x, y float64) float64 {
			if x != x || y > x || y == x && !math.Signbit(y) {
				return y
			}
			return x
		})
		fma := func(x, y, z uint64) uint64 {
			return n.round(sum(n.value(x)*n.value(y), n.value(z)).odd(), nearest)
		}
		t.three("fma.rn."+name, "hhhh", fma)
		t.three("fma.rn."+name+"x2", "wwww", func(x, y, z uint64) uint64 {
			return fma(x>>16, y>>16, z>>16)<<16 | fma(x&0xffff, y&0xffff, z&0xffff)
		})
		t.one("neg."+name, "hh", func(x uint64) uint64 { return x ^ 0x8000 })
		t.one("abs."+name, "hh", func(x uint64) uint64 { return x &^ 0x8000 })
		t.one("neg."+name+"x2", "ww", func(x uint64) uint64 { return x ^ 0x80008000 })
		t.one("abs."+name+"x2", "ww", func(x uint64) uint64 { return x &^ 0x80008000 })
	}
}
