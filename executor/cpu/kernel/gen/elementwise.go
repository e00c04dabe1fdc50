package main

import (
	"etc/executor/cpu/kernel/approx"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// allConstants are the constants of the elementwise kernels.
func allConstants() []float64 {
	var all []float64
	for _, list := range [][]float64{
		approx.ErfNumerator, approx.ErfDenominator, approx.TanhNumerator, approx.TanhDenominator, approx.Exp2,
		{0, 0.5, 1, -1, approx.GELULimit, -approx.GELULimit, approx.GELUTanhLimit, -approx.GELUTanhLimit,
			approx.TanhLimit, -approx.TanhLimit, approx.GELUTanhLinear, approx.GELUTanhCubic, approx.Exp2Limit, approx.Exp2Shift},
	} {
		all = append(all, list...)
	}
	return all
}

// overRows emits body for each vector of a block of rows × vecs vectors, at m.
func (e *emitter) overRows(body func(m operand.Mem)) {
	y, stride, rows := e.param("y"), e.param("yStride"), e.param("rows")
	e.loop("row", rows, func() {
		p, n := e.GP64(), e.param("vecs")
		e.MOVQ(y, p)
		e.loop("vector", n, func() {
			body(at(p, 0))
			e.ADDQ(operand.Imm(vecBytes), p)
		})
		e.ADDQ(stride, y)
	})
}

func (e *emitter) activations() {
	const signature = "func(y *float32, yStride int, rows, vecs int)"
	for _, a := range []struct {
		name string
		emit func() func(x vector) vector
	}{{"gelu", e.gelu}, {"geluTanh", e.geluTanh}, {"tanh", e.tanh}, {"relu", e.relu}} {
		e.function(a.name, signature)
		apply := a.emit()
		e.overRows(func(m operand.Mem) {
			x := e.vector()
			e.load(m, x)
			e.store(apply(x), m)
		})
		e.end()
	}
}

// atLeast and atMost emit x = max(limit, x) and min(limit, x). x is the second
// source, which these instructions return where an operand is NaN.
func (e *emitter) atLeast(limit, x vector) { each(e.VMAXPS, x.ops(), limit, x) }
func (e *emitter) atMost(limit, x vector)  { each(e.VMINPS, x.ops(), limit, x) }

func (e *emitter) broadcast(x float64) vector { return e.same(e.constants.at(x)) }

// horner emits the polynomial with coefficients c, lowest first, of s.
func (e *emitter) horner(c []float64, s vector) vector {
	p := e.vector()
	for i, m := range e.constant(c[len(c)-1]) {
		e.VMOVUPS(m, p[i])
	}
	for j := len(c) - 2; j >= 0; j-- {
		each(e.VFMADD213PS, e.constant(c[j]), s, p)
	}
	return p
}

// odd emits x·P(x²)/Q(x²) within [-1,1].
func (e *emitter) odd(numerator, denominator []float64, x, one, minusOne vector) vector {
	s := e.vector()
	each(e.VMULPS, x.ops(), x, s)
	p := e.horner(numerator, s)
	each(e.VMULPS, x.ops(), p, p)
	q := e.horner(denominator, s)
	each(e.VDIVPS, q.ops(), p, p)
	e.atMost(one, p)
	e.atLeast(minusOne, p)
	return p
}

// half emits h = x/2.
func (e *emitter) half(x vector) vector {
	h := e.vector()
	each(e.VMULPS, e.constant(0.5), x, h)
	return h
}

func (e *emitter) gelu() func(x vector) vector {
	low, high := e.broadcast(-approx.GELULimit), e.broadcast(approx.GELULimit)
	one, minusOne := e.broadcast(1), e.broadcast(-1)
	return func(x vector) vector {
		e.atLeast(low, x)
		h := e.half(x)
		e.atMost(high, x)
		erf := e.odd(approx.ErfNumerator, approx.ErfDenominator, x, one, minusOne)
		each(e.VFMADD213PS, h.ops(), h, erf)
		return erf
	}
}

func (e *emitter) geluTanh() func(x vector) vector {
	low, high := e.broadcast(-approx.GELUTanhLimit), e.broadcast(approx.GELUTanhLimit)
	one, minusOne := e.broadcast(1), e.broadcast(-1)
	return func(x vector) vector {
		e.atLeast(low, x)
		h := e.half(x)
		e.atMost(high, x)
		u := e.vector()
		each(e.VMULPS, x.ops(), x, u)
		f := e.horner([]float64{approx.GELUTanhLinear, approx.GELUTanhCubic}, u)
		each(e.VMULPS, f.ops(), x, x)
		e.clampTanh(x)
		t := e.odd(approx.TanhNumerator, approx.TanhDenominator, x, one, minusOne)
		each(e.VFMADD213PS, h.ops(), h, t)
		return t
	}
}

func (e *emitter) clampTanh(x vector) {
	e.atLeast(e.broadcast(-approx.TanhLimit), x)
	e.atMost(e.broadcast(approx.TanhLimit), x)
}

func (e *emitter) tanh() func(x vector) vector {
	one, minusOne := e.broadcast(1), e.broadcast(-1)
	return func(x vector) vector {
		e.clampTanh(x)
		return e.odd(approx.TanhNumerator, approx.TanhDenominator, x, one, minusOne)
	}
}

func (e *emitter) relu() func(x vector) vector {
	zero := e.broadcast(0)
	return func(x vector) vector {
		e.atLeast(zero, x)
		return x
	}
}

// softmax emits p = 2^(p-max) / sum in place over vecs vectors.
func (e *emitter) softmax() {
	e.function("softmax", "func(p *float32, vecs int)")
	p := e.param("p")
	over := func(label string, body func(m operand.Mem)) {
		q := e.GP64()
		e.MOVQ(p, q)
		e.loop(label, e.param("vecs"), func() {
			body(at(q, 0))
			e.ADDQ(operand.Imm(vecBytes), q)
		})
	}
	most := e.vector()
	e.load(at(p, 0), most)
	over("max", func(m operand.Mem) {
		for i := range most {
			e.VMAXPS(e.part(m, i), most[i], most[i])
		}
	})
	max := e.same(e.fold(e.VMAXPS, most))
	sum := e.vector()
	e.zero(sum)
	limit := e.broadcast(approx.Exp2Limit)
	over("exp2", func(m operand.Mem) {
		x := e.vector()
		e.load(m, x)
		each(e.VSUBPS, max.ops(), x, x)
		y := e.exp2(x, limit)
		e.store(y, m)
		each(e.VADDPS, y.ops(), sum, sum)
	})
	total := e.fold(e.VADDPS, sum)
	inverse := e.XMM()
	e.VMOVSS(e.constants.at(1), inverse)
	e.VDIVSS(total, inverse, inverse)
	factor := e.same(inverse)
	over("scale", func(m operand.Mem) {
		x := e.vector()
		for i := range x {
			e.VMULPS(e.part(m, i), factor[i], x[i])
		}
		e.store(x, m)
	})
	e.end()
}

// sumExp2 emits sum += 2^(x·factor - shift) by lanes over vecs vectors.
func (e *emitter) sumExp2() {
	e.function("sumExp2", "func(x *float32, vecs int, factor, shift float32, sum *float32)")
	x, n, sum := e.param("x"), e.param("vecs"), e.vector()
	factor, shift := e.scalar("factor"), e.scalar("shift")
	limit := e.broadcast(approx.Exp2Limit)
	e.load(at(e.param("sum"), 0), sum)
	e.loop("vector", n, func() {
		v := e.vector()
		e.load(at(x, 0), v)
		each(e.VFMSUB213PS, shift.ops(), factor, v)
		each(e.VADDPS, e.exp2(v, limit).ops(), sum, sum)
		e.ADDQ(operand.Imm(vecBytes), x)
	})
	e.store(sum, at(e.param("sum"), 0))
	e.end()
}

// exp2 emits 2^x for x ≤ 0. Adding the shift rounds x to the integer n and
// leaves n+127, the exponent of 2^n, in the lowest bits.
func (e *emitter) exp2(x, limit vector) vector {
	e.atLeast(limit, x)
	t, n := e.vector(), e.vector()
	each(e.VADDPS, e.constant(approx.Exp2Shift), x, t)
	each(e.VSUBPS, e.constant(approx.Exp2Shift), t, n)
	each(e.VSUBPS, n.ops(), x, x)
	y := e.horner(approx.Exp2, x)
	for i := range t {
		e.VPSLLD(operand.U8(23), t[i], t[i])
	}
	each(e.VMULPS, t.ops(), y, y)
	return y
}

// blocks emits y += m·r and y *= m over blocks of rows.
func (e *emitter) blocks() {
	e.function("addRows", "func(y *float32, yStride int, r *float32, rStride int, rows, vecs int, m float32)")
	r, rStride := e.param("r"), e.param("rStride")
	m := e.scalar("m")
	y, yStride, rows := e.param("y"), e.param("yStride"), e.param("rows")
	e.loop("row", rows, func() {
		i, n := e.GP64(), e.param("vecs")
		e.XORQ(i, i)
		e.loop("vector", n, func() {
			a := e.vector()
			e.load(indexed(y, i, 1, 0), a)
			for j := range a {
				e.VFMADD231PS(e.part(indexed(r, i, 1, 0), j), m[j], a[j])
			}
			e.store(a, indexed(y, i, 1, 0))
			e.ADDQ(operand.Imm(vecBytes), i)
		})
		e.ADDQ(yStride, y)
		e.ADDQ(rStride, r)
	})
	e.end()

	e.function("scaleRows", "func(y *float32, yStride int, rows, vecs int, m float32)")
	factor := e.scalar("m")
	e.overRows(func(mem operand.Mem) {
		a := e.vector()
		for j := range a {
			e.VMULPS(e.part(mem, j), factor[j], a[j])
		}
		e.store(a, mem)
	})
	e.end()
}

// norms emits the three passes of a layer norm over vecs whole vectors.
func (e *emitter) norms() {
	stream := func(body func(i reg.GPVirtual)) {
		i := e.GP64()
		e.XORQ(i, i)
		e.loop("vector", e.param("vecs"), func() {
			body(i)
			e.ADDQ(operand.Imm(vecBytes), i)
		})
	}

	e.function("sumLanes", "func(x *float32, vecs int, sum *float32)")
	x, sum := e.param("x"), e.vector()
	e.load(at(e.param("sum"), 0), sum)
	stream(func(i reg.GPVirtual) {
		for j := range sum {
			e.VADDPS(e.part(indexed(x, i, 1, 0), j), sum[j], sum[j])
		}
	})
	e.store(sum, at(e.param("sum"), 0))
	e.end()

	e.function("squareLanes", "func(x *float32, vecs int, mean float32, sum *float32)")
	x, sum = e.param("x"), e.vector()
	mean := e.scalar("mean")
	e.load(at(e.param("sum"), 0), sum)
	stream(func(i reg.GPVirtual) {
		d := e.vector()
		e.load(indexed(x, i, 1, 0), d)
		each(e.VSUBPS, mean.ops(), d, d)
		each(e.VMULPS, d.ops(), d, d)
		each(e.VADDPS, d.ops(), sum, sum)
	})
	e.store(sum, at(e.param("sum"), 0))
	e.end()

	e.function("normalize", "func(y, x, gamma, beta *float32, vecs int, mean, scale float32)")
	x = e.param("x")
	y, gamma, beta := e.param("y"), e.param("gamma"), e.param("beta")
	mean, scale := e.scalar("mean"), e.scalar("scale")
	stream(func(i reg.GPVirtual) {
		d := e.vector()
		e.load(indexed(x, i, 1, 0), d)
		each(e.VSUBPS, mean.ops(), d, d)
		each(e.VMULPS, scale.ops(), d, d)
		for j := range d {
			e.VMULPS(e.part(indexed(gamma, i, 1, 0), j), d[j], d[j])
			e.VADDPS(e.part(indexed(beta, i, 1, 0), j), d[j], d[j])
		}
		e.store(d, indexed(y, i, 1, 0))
	})
	e.end()
}
