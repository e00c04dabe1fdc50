package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakSums is enough independent sums that the units, not latency, limit the loop.
const peakSums = 12

// peak emits a loop of FMAs on registers only: what the machine could do.
func (e *emitter) peak() {
	e.function("peak", "func(n int)")
	e.Commentf("%d FMAs of %d lanes for each of n", peakSums/e.parts, lanes)
	e.onRegisters(1, func(in []reg.VecVirtual, acc operand.Op) { e.VFMADD231PS(in[0], in[0], acc) })
}

// onRegisters emits a loop of op for each of peakSums registers, of so many inputs.
func (e *emitter) onRegisters(inputs int, op func(in []reg.VecVirtual, acc operand.Op)) {
	n := e.param("n")
	acc := e.vectors(peakSums / e.parts)
	for _, v := range acc {
		e.zero(v)
	}
	in := make([]reg.VecVirtual, inputs)
	for i := range in {
		in[i] = e.register()
	}
	e.zero(in)
	e.loop("loop", n, func() {
		for _, v := range acc {
			for i := range v {
				op(in, v[i])
			}
		}
	})
	e.end()
}
