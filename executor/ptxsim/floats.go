package ptxsim

import (
	"fmt"
	"math"
	"strings"
)

// floats32 enters the arithmetic of f32. Subnormals are kept but under .ftz;
// results round to nearest even but where the opcode says otherwise.
func (t table) floats32() {
	t.fastFloats()
	for name, r := range roundings {
		arithmetic := func(op string, f func(x, y float64) exact) {
			do := func(x, y uint64) uint64 { return bitsOf(to32(f(float64(float(x)), float64(float(y))).odd(), r)) }
			if r != nearest {
				t.two(fmt.Sprintf("%s.%s.f32", op, name), "www", do)
			}
			t.two(fmt.Sprintf("%s.%s.ftz.f32", op, name), "www", func(x, y uint64) uint64 { return flush(do(flush(x), flush(y))) })
			t.two(fmt.Sprintf("%s.%s.sat.f32", op, name), "www", func(x, y uint64) uint64 { return saturate(do(x, y)) })
			t.two(fmt.Sprintf("%s.%s.ftz.sat.f32", op, name), "www", func(x, y uint64) uint64 { return saturate(flush(do(flush(x), flush(y)))) })
		}
		arithmetic("add", sum)
		arithmetic("sub", func(x, y float64) exact { return sum(x, -y) })
		arithmetic("mul", func(x, y float64) exact { return exact{x * y, 0} })
		fma := func(x, y, z uint64) uint64 { return fma32To(x, y, z, r) }
		if r != nearest {
			t.three(each("%."+name+".f32", "fma", "mad"), "wwww", fma)
		}
		t.three(each("%."+name+".ftz.f32", "fma", "mad"), "wwww", func(x, y, z uint64) uint64 { return flush(fma(flush(x), flush(y), flush(z))) })
		t.three(each("%."+name+".sat.f32", "fma", "mad"), "wwww", func(x, y, z uint64) uint64 { return saturate(fma(x, y, z)) })
		t.three(each("%."+name+".ftz.sat.f32", "fma", "mad"), "wwww", func(x, y, z uint64) uint64 {
			return saturate(flush(fma(flush(x), flush(y), flush(z))))
		})
	}
	for _, op := range []string{"add", "sub", "mul"} {
		for _, flags := range []string{"ftz.", "sat.", "ftz.sat."} {
			t[op+"."+flags+"f32"] = t[op+".rn."+flags+"f32"]
		}
	}
	t.divisions()
	t.extrema()
}

// fastFloats enters what kernels spend their time in.
func (t table) fastFloats() {
	t.add("add.f32 add.rn.f32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = bitsOf(float(a[i]) + float(b[i]))
		}
	})
	t.add("sub.f32 sub.rn.f32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = bitsOf(float(a[i]) - float(b[i]))
		}
	})
	t.add("mul.f32 mul.rn.f32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = bitsOf(float(a[i]) * float(b[i]))
		}
	})
	t.add("fma.rn.f32 mad.rn.f32", "wwww", func(d, a, b, c, _ *lanes) {
		for i := range d {
			d[i] = fma32(a[i], b[i], c[i])
		}
	})
}

// divisions enters quotients and roots. The approximate ones are as near as
// float32 allows; hardware may differ by two units in the last place.
func (t table) divisions() {
	quotient := func(x, y uint64) float64 { return float64(float(x)) / float64(float(y)) }
	divide := func(x, y uint64) uint64 { return bitsOf(float(x) / float(y)) }
	flushed := func(x, y uint64) uint64 { return flush(divide(flush(x), flush(y))) }
	t.two("div.rn.f32 div.full.f32 div.approx.f32", "www", divide)
	t.two("div.rn.ftz.f32 div.full.ftz.f32 div.approx.ftz.f32", "www", flushed)
	root := func(x uint64) float32 { return float32(math.Sqrt(float64(float(x)))) }
	for name, r := range roundings {
		if r == nearest {
			continue
		}
		// A quotient or root as float64 is never within half a unit of float64
		// of a float32 without being it, so one more rounding is safe.
		t.two("div."+name+".f32", "www", func(x, y uint64) uint64 { return bitsOf(to32(quotient(x, y), r)) })
		t.one("rcp."+name+".f32", "ww", func(x uint64) uint64 { return bitsOf(to32(1/float64(float(x)), r)) })
		t.one("sqrt."+name+".f32", "ww", func(x uint64) uint64 { return bitsOf(to32(math.Sqrt(float64(float(x))), r)) })
	}
	t.function("rcp", "rn approx", func(x float64) float64 { return 1 / x })
	t.one("sqrt.rn.f32 sqrt.approx.f32", "ww", func(x uint64) uint64 { return bitsOf(root(x)) })
	t.one("sqrt.rn.ftz.f32 sqrt.approx.ftz.f32", "ww", func(x uint64) uint64 { return flush(bitsOf(root(flush(x)))) })
	t.function("rsqrt", "approx", func(x float64) float64 { return 1 / math.Sqrt(x) })
}

// function enters a function of f32 under each of the roundings named, with
// and without .ftz.
func (t table) function(op, modes string, f func(x float64) float64) {
	do := func(x uint64) uint64 { return bitsOf(float32(f(float64(float(x))))) }
	for _, mode := range strings.Fields(modes) {
		t.one(op+"."+mode+".f32", "ww", do)
		t.one(op+"."+mode+".ftz.f32", "ww", func(x uint64) uint64 { return flush(do(flush(x))) })
	}
}

// functions32 enters the functions of the special function unit.
func (t table) functions32() {
	t.function("lg2", "approx", math.Log2)
	t.function("sin", "approx", math.Sin)
	t.function("cos", "approx", math.Cos)
	t.one("tanh.approx.f32", "ww", func(x uint64) uint64 { return bitsOf(float32(math.Tanh(float64(float(x))))) })
	t.add("ex2.approx.ftz.f32", "ww", func(d, a, _, _, _ *lanes) {
		for i := range d {
			d[i] = flush(bitsOf(float32(exp2(float64(float(flush(a[i])))))))
		}
	})
	t.one("ex2.approx.f32", "ww", func(x uint64) uint64 { return bitsOf(float32(exp2(float64(float(x))))) })
}

// exp2 is 2^x to about one part in 10^10, a hundred times below float32's last place.
func exp2(x float64) float64 {
	if !(x > -300 && x < 300) {
		return math.Exp2(x)
	}
	n := math.Floor(x + 0.5)
	y := (x - n) * math.Ln2 // |y| <= 0.35: the next term, y⁹/9!, is below 3e-10
	p := 1 + y*(1+y*(1./2+y*(1./6+y*(1./24+y*(1./120+y*(1./720+y*(1./5040+y*(1./40320))))))))
	return p * math.Float64frombits(uint64(int(n)+1023)<<52)
}

// extrema enters min and max, of which a number wins against a NaN, unless
// .NaN is asked for, and +0 is above -0; also what only touches the sign.
func (t table) extrema() {
	const nan, sign = 0x7fffffff, 0x80000000
	isNaN := func(x uint64) bool { return x&0x7fffffff > 0x7f800000 }
	most := func(x, y uint64, larger bool) uint64 {
		switch a, b := float(x), float(y); {
		case isNaN(x) && isNaN(y):
			return nan
		case isNaN(x):
			return y
		case isNaN(y):
			return x
		case a == b:
			if (x&sign == 0) == larger {
				return x
			}
			return y
		case (a > b) == larger:
			return x
		}
		return y
	}
	for op, larger := range map[string]bool{"max": true, "min": false} {
		strict := func(x, y uint64) uint64 {
			if isNaN(x) || isNaN(y) {
				return nan
			}
			return most(x, y, larger)
		}
		t.two(op+".f32", "www", func(x, y uint64) uint64 { return most(x, y, larger) })
		t.two(op+".ftz.f32", "www", func(x, y uint64) uint64 { return most(flush(x), flush(y), larger) })
		t.two(op+".NaN.f32", "www", strict)
		t.two(op+".ftz.NaN.f32", "www", func(x, y uint64) uint64 { return strict(flush(x), flush(y)) })
	}
	t.one("neg.f32", "ww", func(x uint64) uint64 { return x ^ sign })
	t.one("neg.ftz.f32", "ww", func(x uint64) uint64 { return flush(x) ^ sign })
	t.one("abs.f32", "ww", func(x uint64) uint64 { return x &^ sign })
	t.one("abs.ftz.f32", "ww", func(x uint64) uint64 { return flush(x) &^ sign })
	t.two("copysign.f32", "www", func(x, y uint64) uint64 { return x&sign | y&^sign })
}

// saturate clamps to [0, 1]; NaN becomes 0.
func saturate(x uint64) uint64 {
	switch f := float(x); {
	case !(f > 0):
		return 0
	case f > 1:
		return bitsOf(1)
	}
	return x
}

// floats64 enters the arithmetic of f64, rounded to nearest even.
func (t table) floats64() {
	two := func(names string, f func(x, y float64) float64) {
		t.two(names, "ddd", func(x, y uint64) uint64 { return math.Float64bits(f(float64Of(x), float64Of(y))) })
	}
	one := func(names string, f func(x float64) float64) {
		t.one(names, "dd", func(x uint64) uint64 { return math.Float64bits(f(float64Of(x))) })
	}
	two("add.f64 add.rn.f64", func(x, y float64) float64 { return x + y })
	two("sub.f64 sub.rn.f64", func(x, y float64) float64 { return x - y })
	two("mul.f64 mul.rn.f64", func(x, y float64) float64 { return x * y })
	two("div.rn.f64", func(x, y float64) float64 { return x / y })
	two("min.f64", func(x, y float64) float64 {
		if x != x || y < x {
			return y
		}
		return x
	})
	two("max.f64", func(x, y float64) float64 {
		if x != x || y > x {
			return y
		}
		return x
	})
	t.three("fma.rn.f64 mad.rn.f64", "dddd", func(x, y, z uint64) uint64 {
		return math.Float64bits(math.FMA(float64Of(x), float64Of(y), float64Of(z)))
	})
	one("rcp.rn.f64", func(x float64) float64 { return 1 / x })
	one("sqrt.rn.f64", math.Sqrt)
	one("rsqrt.approx.f64 rsqrt.approx.ftz.f64", func(x float64) float64 { return 1 / math.Sqrt(x) })
	one("neg.f64", func(x float64) float64 { return -x })
	one("abs.f64", math.Abs)
	two("copysign.f64", func(x, y float64) float64 { return math.Copysign(y, x) })
}

// classes enters testp.
func (t table) classes() {
	for name, f := range map[string]func(x float64, least float64) bool{
		"finite":     func(x, _ float64) bool { return x-x == 0 },
		"infinite":   func(x, _ float64) bool { return math.IsInf(x, 0) },
		"number":     func(x, _ float64) bool { return x == x },
		"notanumber": func(x, _ float64) bool { return x != x },
		"normal":     func(x, least float64) bool { return x-x == 0 && math.Abs(x) >= least },
		"subnormal":  func(x, least float64) bool { return x != 0 && math.Abs(x) < least },
	} {
		test := func(suffix, signature string, least float64, value func(x uint64) float64) {
			t.enter("testp."+name+suffix, signature, func(w *warp, in *inst, m uint32) {
				var r uint32
				for i, x := range w.r[in.a] {
					if f(value(x), least) {
						r |= 1 << i
					}
				}
				w.p[in.d] = w.p[in.d]&^m | r&m
			})
		}
		test(".f32", "pw", 0x1p-126, func(x uint64) float64 { return float64(float(x)) })
		test(".f64", "pd", 0x1p-1022, float64Of)
	}
}
