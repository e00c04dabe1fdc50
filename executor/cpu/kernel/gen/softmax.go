package main

import (
	"etc/executor/cpu/kernel/approx"

	"github.com/mmcloughlin/avo/operand"
)

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
