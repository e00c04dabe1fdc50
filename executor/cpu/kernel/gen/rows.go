package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
