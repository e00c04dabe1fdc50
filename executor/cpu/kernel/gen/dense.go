package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	denseUnroll = 4  // steps of k in one turn of the loop
	prefetch    = 16 // steps of k that a cache line of W is asked for ahead
)

// denseShape is one member of a family: a block of rows × panels.
type denseShape struct{ rows, panels int }

// denseShapes: 8×48 is the AVX-512 block, 24 accumulators of 32 registers;
// 6×16 the AVX2 block, 12 of 16. One or two rows alone leave room for more panels
// there, whose independent sums hide the latency of the FMA.
func (e *emitter) denseShapes() []denseShape {
	var s []denseShape
	for rows := 1; rows <= e.rows; rows++ {
		s = append(s, denseShape{rows, 1})
		if e.parts == 1 || rows <= 2 {
			s = append(s, denseShape{rows, 2}, denseShape{rows, 3})
		}
	}
	return s
}

func (e *emitter) denseFamily() {
	for _, s := range e.denseShapes() {
		e.dense(s)
	}
}

// inputs addresses rows of x: one pointer for three rows, p, p+ld, p+2·ld.
type inputs struct {
	stride   reg.Register
	pointers []reg.GPVirtual
}

func (e *emitter) inputs(rows int, x, stride reg.GPVirtual) inputs {
	in := inputs{stride: stride, pointers: []reg.GPVirtual{x}}
	if rows <= 3 {
		return in
	}
	three := e.GP64()
	e.LEAQ(indexed(stride, stride, 2, 0), three)
	for r := 3; r < rows; r += 3 {
		p := e.GP64()
		e.LEAQ(indexed(in.pointers[len(in.pointers)-1], three, 1, 0), p)
		in.pointers = append(in.pointers, p)
	}
	return in
}

func (in inputs) at(row, disp int) operand.Mem {
	if row%3 == 0 {
		return at(in.pointers[row/3], disp)
	}
	return indexed(in.pointers[row/3], in.stride, row%3, disp)
}

func (e *emitter) advance(in inputs, bytes int) {
	for _, p := range in.pointers {
		e.ADDQ(operand.I32(int32(bytes)), p)
	}
}

// dense emits y[rows, 16·panels] = bias + x[rows, k] · w, where w is panels of
// k steps of one vector. An accumulator starts from the bias and takes one FMA
// a step, k ascending.
func (e *emitter) dense(s denseShape) {
	e.function(fmt.Sprintf("dense%dx%d", s.rows, s.panels),
		"func(x *float32, xStride int, w *float32, stepStride, panelStride int, y *float32, yStride int, k int, bias, next *float32, nextStride int)")
	e.Commentf("y[%d, %d] = bias + x·w; strides are in bytes. next is asked for, for a later block.", s.rows, lanes*s.panels)
	acc := e.fromBias(s)
	in := e.inputs(s.rows, e.param("x"), e.param("xStride"))
	w := panels{e.param("w"), e.GP64(), e.param("next"), e.param("stepStride"), e.param("nextStride"), nil}
	if s.panels > 1 {
		w.panelStride = e.param("panelStride")
	}
	e.MOVQ(w.step, w.ahead)
	e.SHLQ(operand.U8(log2(prefetch)), w.ahead)
	e.ADDQ(w.base, w.ahead)

	k := e.param("k")
	e.SUBQ(operand.Imm(denseUnroll), k)
	e.JLT(operand.LabelRef("tail"))
	e.Label("loop")
	for u := range denseUnroll {
		e.denseStep(acc, in, w, 4*u)
	}
	e.advance(in, 4*denseUnroll)
	e.SUBQ(operand.Imm(denseUnroll), k)
	e.JGE(operand.LabelRef("loop"))
	e.Label("tail")
	e.ADDQ(operand.Imm(denseUnroll), k)
	e.JEQ(operand.LabelRef("done"))
	e.loop("step", k, func() {
		e.denseStep(acc, in, w, 0)
		e.advance(in, 4)
	})
	e.Label("done")
	e.storeBlock(acc)
	e.end()
}

// panels addresses one step of W: up to three vectors. ahead is some steps on;
// next lies in the panels that come after these.
type panels struct {
	base, ahead, next reg.Register
	step, nextStep    reg.Register
	panelStride       reg.Register
}

func (w panels) at(base reg.Register, panel int) operand.Mem {
	if panel == 0 {
		return at(base, 0)
	}
	return indexed(base, w.panelStride, panel, 0)
}

// denseStep emits one step of k. With one panel, AVX-512 broadcasts x inside the FMA.
func (e *emitter) denseStep(acc [][]vector, in inputs, w panels, disp int) {
	if e.parts == 2 && len(acc[0]) > 1 {
		e.denseStepByPanel(acc, in, w, disp)
		return
	}
	b := e.vectors(len(acc[0]))
	for j := range b {
		e.load(w.at(w.base, j), b[j])
		e.prefetch(w, j)
	}
	e.step(w)
	for r := range acc {
		e.multiply(acc[r], b, in.at(r, disp))
	}
}

// denseStepByPanel is denseStep with one panel in registers at a time: of two
// rows and three panels, 12 accumulators, 2 rows of x and a panel fill the 16
// registers of AVX2.
func (e *emitter) denseStepByPanel(acc [][]vector, in inputs, w panels, disp int) {
	x := make([]vector, len(acc))
	for r := range acc {
		x[r] = e.same(in.at(r, disp))
	}
	for j := range acc[0] {
		b := e.vector()
		e.load(w.at(w.base, j), b)
		e.prefetch(w, j)
		for r := range acc {
			each(e.VFMADD231PS, b.ops(), x[r], acc[r][j])
		}
	}
	e.step(w)
}

// prefetch asks for a line of W ahead, in the first-level cache, and for one of
// the panels after these in the second: in some steps of k a line does not come
// from memory, while a panel is multiplied it does.
func (e *emitter) prefetch(w panels, panel int) {
	e.PREFETCHT0(w.at(w.ahead, panel))
	e.PREFETCHT1(w.at(w.next, panel))
}

func (e *emitter) step(w panels) {
	e.ADDQ(w.step, w.base)
	e.ADDQ(w.step, w.ahead)
	e.ADDQ(w.nextStep, w.next)
}

// multiply emits acc[j] += x·b[j] for the scalar at x.
func (e *emitter) multiply(acc, b []vector, x operand.Mem) {
	if e.parts == 1 && len(b) == 1 {
		e.VFMADD231PS_BCST(x, b[0][0], acc[0][0])
		return
	}
	a := e.same(x)
	for j := range b {
		each(e.VFMADD231PS, b[j].ops(), a, acc[j])
	}
}

func (e *emitter) fromBias(s denseShape) [][]vector {
	acc := make([][]vector, s.rows)
	for r := range acc {
		acc[r] = e.vectors(s.panels)
	}
	bias := e.param("bias")
	for j := range s.panels {
		e.load(at(bias, vecBytes*j), acc[0][j])
		for r := 1; r < s.rows; r++ {
			for i := range acc[r][j] {
				e.VMOVAPS(acc[0][j][i], acc[r][j][i])
			}
		}
	}
	return acc
}

func (e *emitter) storeBlock(acc [][]vector) {
	y, stride := e.param("y"), e.param("yStride")
	for r := range acc {
		for j := range acc[r] {
			e.store(acc[r][j], at(y, vecBytes*j))
		}
		if r+1 < len(acc) {
			e.ADDQ(stride, y)
		}
	}
}
