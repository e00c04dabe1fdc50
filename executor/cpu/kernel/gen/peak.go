package main

// peakSums is enough independent sums that the units, not latency, limit the loop.
const peakSums = 12

// peak emits a loop of FMAs on registers only: what the machine could do.
func (e *emitter) peak() {
	e.function("peak", "func(n int)")
	e.Commentf("%d FMAs of %d lanes for each of n", peakSums/e.parts, lanes)
	n := e.param("n")
	acc := e.vectors(peakSums / e.parts)
	for _, v := range acc {
		e.zero(v)
	}
	a := e.register()
	e.VXORPS(a, a, a)
	e.loop("loop", n, func() {
		for _, v := range acc {
			for i := range v {
				e.VFMADD231PS(a, a, v[i])
			}
		}
	})
	e.end()
}
