package main

import (
	"etc/executor/cpu/kernel/approx"

	"github.com/mmcloughlin/avo/operand"
)

const softmaxRows = 8 // at most

// softmax emits p = 2^(p-max) / sum in place, for each of some rows of vecs
// vectors. All rows go through one part before the next part begins: what folds
// the lanes of a row takes long, and the row after it does not wait for that.
func (e *emitter) softmax() {
	e.function("softmax", "func(p *float32, stride int, rows, vecs int)")
	kept := e.AllocLocal(4 * softmaxRows) // of each row: its maximum, then what it is scaled by
	e.softmaxPart("max", kept, func(row, kept operand.Mem) {
		most := e.vector()
		e.load(row, most)
		e.overRow("max", row, func(m operand.Mem) {
			for i := range most {
				e.VMAXPS(e.part(m, i), most[i], most[i])
			}
		})
		e.VMOVSS(e.fold(e.VMAXPS, most), kept)
	})
	limit := e.broadcast(approx.Exp2Limit)
	one := e.XMM()
	e.VMOVSS(e.constants.at(1), one)
	e.softmaxPart("exp2", kept, func(row, kept operand.Mem) {
		max, sum := e.same(kept), e.vector()
		e.zero(sum)
		e.overRow("exp2", row, func(m operand.Mem) {
			x := e.vector()
			e.load(m, x)
			each(e.VSUBPS, max.ops(), x, x)
			y := e.exp2(x, limit)
			e.store(y, m)
			each(e.VADDPS, y.ops(), sum, sum)
		})
		inverse := e.fold(e.VADDPS, sum)
		e.VDIVSS(inverse, one, inverse)
		e.VMOVSS(inverse, kept)
	})
	e.softmaxPart("scale", kept, func(row, kept operand.Mem) {
		factor := e.same(kept)
		e.overRow("scale", row, func(m operand.Mem) {
			x := e.vector()
			for i := range x {
				e.VMULPS(e.part(m, i), factor[i], x[i])
			}
			e.store(x, m)
		})
	})
	e.end()
}

// softmaxPart emits body for each row, and where something is kept of it.
func (e *emitter) softmaxPart(name string, kept operand.Mem, body func(row, kept operand.Mem)) {
	p, stride, slot := e.param("p"), e.param("stride"), e.GP64()
	e.LEAQ(kept, slot)
	e.loop(name+"Rows", e.param("rows"), func() {
		body(at(p, 0), at(slot, 0))
		e.ADDQ(stride, p)
		e.ADDQ(operand.Imm(4), slot)
	})
}

// overRow emits body for each of the row's vectors.
func (e *emitter) overRow(name string, row operand.Mem, body func(m operand.Mem)) {
	q := e.GP64()
	e.LEAQ(row, q)
	e.loop(name, e.param("vecs"), func() {
		body(at(q, 0))
		e.ADDQ(operand.Imm(vecBytes), q)
	})
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
