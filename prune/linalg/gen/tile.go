package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A tile is 6×8: its 12 vectors, two of B and two for A fill the 16 registers.
// 12 chains are more than the 8 to 10 that hide the latency of two FMA units.
const (
	rows    = 6
	vectors = 2 // of a row
	vector  = 32
	double  = 8
	unroll  = 4 // steps of k in one turn of the loop
)

type tile [rows][vectors]reg.VecVirtual

// eachRow calls f with the address of each row of a tile, its rows stride
// apart, and returns where the tile below begins.
func (e *emitter) eachRow(base, stride reg.Register, f func(r int, row operand.Mem)) reg.Register {
	p := e.GP64()
	e.MOVQ(base, p)
	for r := range rows {
		f(r, at(p, 0))
		e.ADDQ(stride, p)
	}
	return p
}

func (e *emitter) load(row operand.Mem) (v [vectors]reg.VecVirtual) {
	for j := range v {
		v[j] = e.YMM()
		e.VMOVUPD(row.Offset(j*vector), v[j])
	}
	return v
}

func (e *emitter) store(v [vectors]reg.VecVirtual, row operand.Mem) {
	for j := range v {
		e.VMOVUPD(v[j], row.Offset(j*vector))
	}
}

// multiply emits c[6,8] += aᵀ·b, one FMA a step, k ascending, from what c holds.
func (e *emitter) multiply() {
	e.function("multiply", "func(a, b *float64, k int, c *float64, stride int)")
	e.Comment("c[6,8] += aᵀ·b for a [k,6], b [k,8], k > 0; stride is in bytes")
	a, b, k, c, stride := e.param("a"), e.param("b"), e.param("k"), e.param("c"), e.param("stride")
	var acc tile
	next := e.eachRow(c, stride, func(r int, row operand.Mem) { acc[r] = e.load(row) })
	e.Comment("The tile below comes next; to ask for what is not there does no harm.")
	e.eachRow(next, stride, func(_ int, row operand.Mem) {
		e.PREFETCHT0(row)
		e.PREFETCHT0(row.Offset(2*vector - double))
	})

	e.SUBQ(operand.Imm(unroll), k)
	e.JLT(operand.LabelRef("tail"))
	e.Label("loop")
	for u := range unroll {
		e.step(acc, a, b, u)
	}
	e.advance(a, b, unroll)
	e.SUBQ(operand.Imm(unroll), k)
	e.JGE(operand.LabelRef("loop"))
	e.Label("tail")
	e.ADDQ(operand.Imm(unroll), k)
	e.JEQ(operand.LabelRef("done"))
	e.Label("single")
	e.step(acc, a, b, 0)
	e.advance(a, b, 1)
	e.DECQ(k)
	e.JNE(operand.LabelRef("single"))
	e.Label("done")
	e.eachRow(c, stride, func(r int, row operand.Mem) { e.store(acc[r], row) })
	e.end()
}

// step emits one step of k, u steps after a and b.
func (e *emitter) step(acc tile, a, b reg.Register, u int) {
	y := e.load(at(b, u*vectors*vector))
	for r := range rows {
		x := e.YMM()
		e.VBROADCASTSD(at(a, (u*rows+r)*double), x)
		for j := range vectors {
			e.VFMADD231PD(y[j], x, acc[r][j])
		}
	}
}

func (e *emitter) advance(a, b reg.Register, steps int) {
	e.ADDQ(operand.I32(int32(steps*rows*double)), a)
	e.ADDQ(operand.I32(int32(steps*vectors*vector)), b)
}

// solve emits x := l⁻¹·x for a triangle of six rows.
func (e *emitter) solve() {
	e.function("solve", "func(l, x *float64)")
	e.Comment("x[6,8] := l⁻¹·x; l [6,6] by columns, negated below its diagonal")
	l, x := e.param("l"), e.param("x")
	var acc tile
	for r := range rows {
		acc[r] = e.load(at(x, r*vectors*vector))
	}
	for i := range rows {
		d := e.YMM()
		e.VBROADCASTSD(at(l, (i*rows+i)*double), d)
		for j := range vectors {
			e.VDIVPD(d, acc[i][j], acc[i][j])
		}
		for r := i + 1; r < rows; r++ {
			f := e.YMM()
			e.VBROADCASTSD(at(l, (i*rows+r)*double), f)
			for j := range vectors {
				e.VFMADD231PD(acc[i][j], f, acc[r][j])
			}
		}
		e.store(acc[i], at(x, i*vectors*vector))
	}
	e.end()
}

// peak emits a loop of FMAs on registers only: what the machine could do.
func (e *emitter) peak() {
	e.function("peak", "func(n int)")
	e.Comment("12 FMAs of 4 lanes for each of n")
	n := e.param("n")
	x := e.YMM()
	e.VXORPD(x, x, x)
	var acc tile
	for r := range rows {
		for j := range vectors {
			acc[r][j] = e.YMM()
			e.VXORPD(acc[r][j], acc[r][j], acc[r][j])
		}
	}
	e.Label("loop")
	for r := range rows {
		for j := range vectors {
			e.VFMADD231PD(x, x, acc[r][j])
		}
	}
	e.DECQ(n)
	e.JNE(operand.LabelRef("loop"))
	e.end()
}
