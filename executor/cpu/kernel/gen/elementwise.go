package main

import (
	"etc/executor/cpu/kernel/approx"

	"github.com/mmcloughlin/avo/operand"
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
