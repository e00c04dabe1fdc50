package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An integer is how a level multiplies one type of integers. A step takes four
// bytes of W in each lane: two int16 or four int8. A line of W is one step of
// a panel, 64 bytes.
type integer struct {
	bits   int
	xBytes int // of a step: four where x has the width of W, else eight
}

const (
	lineBytes     = 64
	stepBytes     = 4
	integerUnroll = 2 // steps in one turn of the loop
)

// integers are the two types. Without dot products of bytes, int8 is widened:
// x then lies in int16, inputs 0, 2, 1, 3 of each step.
func (e *emitter) integers() []integer {
	wide := 2 * stepBytes
	if e.dots != nil {
		wide = stepBytes
	}
	return []integer{{16, stepBytes}, {8, wide}}
}

// inputs is the number of inputs of a step.
func (t integer) inputs() int { return 8 * stepBytes / t.bits }

const integerOperands = "y *float32, yStride int, start *int32, units, rowUnits, bias *float32"

func (e *emitter) integerFamilies() {
	for _, t := range e.integers() {
		for _, s := range e.denseShapes() {
			e.integerDense(t, s)
		}
		for rows := 1; rows <= e.rows; rows++ {
			e.integerTiles(t, rows)
		}
		e.integerPeak(t)
	}
}

func (t integer) denseName(s denseShape) string {
	return fmt.Sprintf("int%dDense%dx%d", t.bits, s.rows, s.panels)
}

func (t integer) tilesName(rows int) string { return fmt.Sprintf("int%dTiles%d", t.bits, rows) }

// integerDense emits y[rows, 16·panels] = (start + Σ x·w)·units·rowUnits + bias
// over so many steps.
func (e *emitter) integerDense(t integer, s denseShape) {
	e.function(t.denseName(s), "func(x *byte, xStride int, w *byte, panelStride int, steps int, "+integerOperands+")")
	e.Commentf("y[%d, %d] = (start + x·w)·units·rowUnits + bias; strides are in bytes.", s.rows, lanes*s.panels)
	acc := e.fromStart(s)
	in := e.inputs(s.rows, e.param("x"), e.param("xStride"))
	w := panels{base: e.param("w")}
	if s.panels > 1 {
		w.panelStride = e.param("panelStride")
	}
	steps := e.param("steps")
	e.SUBQ(operand.Imm(integerUnroll), steps)
	e.JLT(operand.LabelRef("tail"))
	e.Label("loop")
	e.integerSteps(t, acc, in, w, integerUnroll)
	e.SUBQ(operand.Imm(integerUnroll), steps)
	e.JGE(operand.LabelRef("loop"))
	e.Label("tail")
	e.ADDQ(operand.Imm(integerUnroll), steps)
	e.JEQ(operand.LabelRef("done"))
	e.loop("step", steps, func() { e.integerSteps(t, acc, in, w, 1) })
	e.Label("done")
	e.storeIntegers(acc)
	e.end()
}

// integerTiles emits the same for the n tiles of one block row at columns.
func (e *emitter) integerTiles(t integer, rows int) {
	e.function(t.tilesName(rows), "func(x *byte, xStride int, w *byte, columns *int32, n int, "+integerOperands+")")
	e.Commentf("y[%d, %d] = (start + x·(n tiles))·units·rowUnits + bias; strides are in bytes.", rows, lanes)
	acc := e.fromStart(denseShape{rows, 1})
	x, stride, columns := e.param("x"), e.param("xStride"), e.param("columns")
	w := panels{base: e.param("w")}
	n := e.param("n")
	steps := lanes / t.inputs()
	e.TESTQ(n, n)
	e.JEQ(operand.LabelRef("done"))
	e.loop("tile", n, func() {
		p := e.GP64()
		e.MOVLQSX(at(columns, 0), p)
		e.ADDQ(operand.Imm(4), columns)
		e.SHLQ(operand.U8(log2(steps*t.xBytes)), p)
		e.ADDQ(x, p)
		in, turns := e.inputs(rows, p, stride), e.GP64()
		e.MOVQ(operand.U32(steps/integerUnroll), turns)
		e.loop("steps", turns, func() { e.integerSteps(t, acc, in, w, integerUnroll) })
	})
	e.Label("done")
	e.storeIntegers(acc)
	e.end()
}

// integerSteps emits n steps and goes past them.
func (e *emitter) integerSteps(t integer, acc [][]vector, in inputs, w panels, n int) {
	for u := range n {
		e.integerStep(t, acc, in, w, u)
	}
	e.advance(in, t.xBytes*n)
	e.ADDQ(operand.I32(int32(lineBytes*n)), w.base)
}

// integerStep emits step u from where in and w stand. As many vectors of W are
// held as leave room for the sums, one of x and a product.
func (e *emitter) integerStep(t integer, acc [][]vector, in inputs, w panels, u int) {
	together := len(acc[0]) * e.parts
	if t.xBytes > stepBytes || e.parts == 2 && len(acc[0]) > 1 {
		together = 1
	}
	for first := 0; first < len(acc[0])*e.parts; first += together {
		held := make([][]operand.Op, together) // of each, what meets each four bytes of x
		for i := range held {
			panel, part := (first+i)/e.parts, (first+i)%e.parts
			m := e.part(w.at(w.base, panel).Offset(lineBytes*u), part)
			held[i] = e.integerLine(t, m)
			if part == 0 {
				e.PREFETCHT0(w.at(w.base, panel).Offset(lineBytes * (u + prefetch)))
			}
		}
		for r := range acc {
			for half := range t.xBytes / stepBytes {
				x := e.register()
				e.VPBROADCASTD(in.at(r, t.xBytes*u+stepBytes*half), x)
				for i := range held {
					e.multiplyIntegers(t, x, held[i][half], acc[r][(first+i)/e.parts][(first+i)%e.parts])
				}
			}
		}
	}
}

// integerLine emits the load of a part of a line. Bytes that are widened become
// int16: inputs 0 and 2 of each lane, then 1 and 3.
func (e *emitter) integerLine(t integer, m operand.Mem) []operand.Op {
	b := e.register()
	e.VMOVUPS(m, b)
	if t.xBytes == stepBytes {
		return []operand.Op{b}
	}
	even := e.register()
	e.VPSLLW(operand.U8(8), b, even)
	e.VPSRAW(operand.U8(8), even, even)
	e.VPSRAW(operand.U8(8), b, b)
	return []operand.Op{even, b}
}

// multiplyIntegers emits acc += x·w in each lane.
func (e *emitter) multiplyIntegers(t integer, x, w, acc operand.Op) {
	if e.dots != nil {
		e.Instruction(e.dots(t.bits, w, x, acc))
		return
	}
	product := e.register()
	e.VPMADDWD(w, x, product)
	e.VPADDD(product, acc, acc)
}

func (t integer) peakName() string { return fmt.Sprintf("int%dPeak", t.bits) }

// integerPeak emits a loop of products on registers only: what the machine could do.
func (e *emitter) integerPeak(t integer) {
	e.function(t.peakName(), "func(n int)")
	e.Commentf("%d products of a register for each of n", peakSums)
	e.onRegisters(2, func(in []reg.VecVirtual, acc operand.Op) { e.multiplyIntegers(t, in[0], in[1], acc) })
}

// fromStart emits the sums' first values.
func (e *emitter) fromStart(s denseShape) [][]vector {
	acc := make([][]vector, s.rows)
	for r := range acc {
		acc[r] = e.vectors(s.panels)
	}
	start := e.param("start")
	for j := range s.panels {
		e.load(at(start, vecBytes*j), acc[0][j])
		for r := 1; r < s.rows; r++ {
			for i := range acc[r][j] {
				e.VMOVAPS(acc[0][j][i], acc[r][j][i])
			}
		}
	}
	return acc
}

// storeIntegers emits what becomes of the sums: float32, times the units of
// the features, times that of the row, plus the bias, each rounded.
func (e *emitter) storeIntegers(acc [][]vector) {
	y, stride := e.param("y"), e.param("yStride")
	units, bias, rowUnits := e.param("units"), e.param("bias"), e.param("rowUnits")
	for r := range acc {
		row := e.register()
		e.VBROADCASTSS(at(rowUnits, 4*r), row)
		for j, v := range acc[r] {
			for i := range v {
				e.VCVTDQ2PS(v[i], v[i])
				e.VMULPS(e.part(at(units, vecBytes*j), i), v[i], v[i])
				e.VMULPS(row, v[i], v[i])
				e.VADDPS(e.part(at(bias, vecBytes*j), i), v[i], v[i])
			}
			e.store(v, at(y, vecBytes*j))
		}
		if r+1 < len(acc) {
			e.ADDQ(stride, y)
		}
	}
}

// evexDots are the dot products of AVX-512 VNNI: avo does not know them, the
// assembler does. W is the signed operand.
func evexDots(bits int, w, x, acc operand.Op) *ir.Instruction {
	return threeOperands(dotNames[bits], w, x, acc)
}

// vexDots are those of AVX-VNNI, which the assembler does not know either.
func vexDots(bits int, w, x, acc operand.Op) *ir.Instruction {
	return threeOperands(vexPrefix+dotNames[bits], w, x, acc)
}

var dotNames = map[int]string{16: "VPDPWSSD", 8: "VPDPBUSD"}

// threeOperands is an instruction that avo does not know, and that adds to acc.
func threeOperands(name string, w, x, acc operand.Op) *ir.Instruction {
	return &ir.Instruction{
		Opcode: name, Operands: []operand.Op{w, x, acc},
		Inputs: []operand.Op{w, x, acc}, Outputs: []operand.Op{acc},
	}
}
