package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func (e *emitter) tilesFamily() {
	for rows := 1; rows <= e.rows; rows++ {
		e.tiles(rows)
	}
}

// tiles emits y[rows, 16] = bias + x · the tiles of one block row. The first n
// tiles have 16 inputs; one more, if rest > 0, has only rest.
func (e *emitter) tiles(rows int) {
	e.function(fmt.Sprintf("tiles%d", rows),
		"func(x *float32, xStride int, w *float32, columns *int32, n int, rest int, y *float32, yStride int, bias *float32)")
	e.Commentf("y[%d, %d] = bias + x·(n tiles and rest inputs of one more); strides are in bytes.", rows, lanes)
	acc := e.fromBias(denseShape{rows, 1})
	x, stride, w, columns := e.param("x"), e.param("xStride"), e.param("w"), e.param("columns")
	n := e.param("n")
	start := func() inputs { // of the tile's first input
		p := e.GP64()
		e.MOVLQSX(at(columns, 0), p)
		e.ADDQ(operand.Imm(4), columns)
		e.SHLQ(operand.U8(log2(4*lanes)), p)
		e.ADDQ(x, p)
		return e.inputs(rows, p, stride)
	}
	step := func(in inputs, u int) {
		b := e.vectors(1)
		e.load(at(w, vecBytes*u), b[0])
		for r := range acc {
			e.multiply(acc[r], b, in.at(r, 4*u))
		}
	}
	e.TESTQ(n, n)
	e.JEQ(operand.LabelRef("short"))
	e.loop("tile", n, func() {
		in := start()
		for u := range lanes {
			e.PREFETCHT0(at(w, lanes*vecBytes+vecBytes*u))
			step(in, u)
		}
		e.ADDQ(operand.I32(lanes*vecBytes), w)
	})
	e.Label("short")
	rest := e.param("rest")
	e.TESTQ(rest, rest)
	e.JEQ(operand.LabelRef("done"))
	in := start()
	e.loop("step", rest, func() {
		step(in, 0)
		e.ADDQ(operand.Imm(vecBytes), w)
		e.advance(in, 4)
	})
	e.Label("done")
	e.storeBlock(acc)
	e.end()
}

// csrVectors is the widest block of tokens of the csr kernels, in vectors. The
// AVX2 form then takes 13 of 16 registers.
const csrVectors = 6

func (e *emitter) csrFamily() {
	for v := 1; v <= csrVectors; v++ {
		e.csr(v)
	}
}

// csrTogether is how many rows of W are gone through together: with one vector
// of tokens the sums of one row are too few for the latency of the FMA.
func csrTogether(vecs int) int {
	if vecs == 1 {
		return 3
	}
	return 1
}

// csr emits the steps of one stripe of inputs for 16·vecs tokens: for each row
// of W, sums += the kept values, one for each bit of its mask, times the row of
// xt of that bit. With a bias the sums start from it.
func (e *emitter) csr(vecs int) {
	e.function(fmt.Sprintf("csr%d", vecs),
		"func(xt *float32, masks *uint64, values *float32, rows int, sums *float32, bias *float32, biasStep int)")
	e.Commentf("sums[rows, %d] = (bias or sums) + kept values · xt; biasStep is in bytes.", lanes*vecs)
	c := csrLoop{e.param("xt"), e.param("masks"), e.param("values"), e.param("rows"), e.param("sums"), e.param("bias"), e.param("biasStep")}
	if together := csrTogether(vecs); together > 1 {
		e.SUBQ(operand.Imm(uint64(together)), c.rows)
		e.JLT(operand.LabelRef("few"))
		e.Label("together")
		e.csrRows(c, "together_", vecs, together)
		e.SUBQ(operand.Imm(uint64(together)), c.rows)
		e.JGE(operand.LabelRef("together"))
		e.Label("few")
		e.ADDQ(operand.Imm(uint64(together)), c.rows)
		e.JEQ(operand.LabelRef("done"))
	}
	e.loop("row", c.rows, func() { e.csrRows(c, "", vecs, 1) })
	e.Label("done")
	e.end()
}

// csrLoop is where the csr kernels have come to.
type csrLoop struct{ xt, masks, values, rows, sums, bias, biasStep reg.GPVirtual }

// csrRows emits some rows of W together: as many values of each as the
// shortest has, then what is left of each. The counts run ahead of the FMAs, so
// that a wrong guess where a row ends costs little.
func (e *emitter) csrRows(c csrLoop, label string, vecs, rows int) {
	acc, mask, values := make([][]vector, rows), make([]reg.GPVirtual, rows), make([]reg.GPVirtual, rows)
	for r := range acc {
		acc[r], mask[r], values[r] = e.vectors(vecs), e.GP64(), e.GP64()
		e.MOVQ(at(c.masks, 8*r), mask[r])
	}
	e.ADDQ(operand.Imm(uint64(8*rows)), c.masks)
	e.csrSums(c, label, acc)
	e.MOVQ(c.values, values[0])
	if rows > 1 {
		shortest, kept := e.GP64(), e.GP64()
		e.POPCNTQ(mask[0], shortest)
		e.LEAQ(indexed(values[0], shortest, 4, 0), values[1])
		for r := 1; r < rows; r++ {
			e.POPCNTQ(mask[r], kept)
			if r+1 < rows {
				e.LEAQ(indexed(values[r], kept, 4, 0), values[r+1])
			}
			e.CMPQ(kept, shortest)
			e.CMOVQLT(kept, shortest)
		}
		e.TESTQ(shortest, shortest)
		e.JEQ(operand.LabelRef(label + "rest0"))
		e.loop(label+"value", shortest, func() {
			for r := range acc {
				e.csrValue(c.xt, mask[r], values[r], acc[r])
				e.BLSRQ(mask[r], mask[r])
			}
		})
	}
	for r := range acc {
		e.Label(fmt.Sprintf("%srest%d", label, r))
		e.TESTQ(mask[r], mask[r])
		e.JEQ(operand.LabelRef(fmt.Sprintf("%sstore%d", label, r)))
		e.Label(fmt.Sprintf("%svalue%d", label, r))
		e.csrValue(c.xt, mask[r], values[r], acc[r])
		e.BLSRQ(mask[r], mask[r])
		e.JNE(operand.LabelRef(fmt.Sprintf("%svalue%d", label, r)))
		e.Label(fmt.Sprintf("%sstore%d", label, r))
		for j, v := range acc[r] {
			e.store(v, at(c.sums, vecBytes*(r*vecs+j)))
		}
	}
	e.MOVQ(values[rows-1], c.values)
	e.ADDQ(operand.I32(int32(vecBytes*vecs*rows)), c.sums)
}

// csrSums loads the sums of rows of W, from the bias if there is one.
func (e *emitter) csrSums(c csrLoop, label string, acc [][]vector) {
	e.TESTQ(c.bias, c.bias)
	e.JEQ(operand.LabelRef(label + "resume"))
	for _, row := range acc {
		for _, v := range row {
			for i := range v {
				e.VBROADCASTSS(at(c.bias, 0), v[i])
			}
		}
		e.ADDQ(c.biasStep, c.bias)
	}
	e.JMP(operand.LabelRef(label + "begin"))
	e.Label(label + "resume")
	for r, row := range acc {
		for j, v := range row {
			e.load(at(c.sums, vecBytes*(r*len(row)+j)), v)
		}
	}
	e.Label(label + "begin")
}

// csrValue emits the FMAs of one kept value: that of the lowest bit of mask.
func (e *emitter) csrValue(xt, mask, values reg.GPVirtual, acc []vector) {
	row := e.GP64()
	e.TZCNTQ(mask, row)
	e.IMUL3Q(operand.I32(int32(vecBytes*len(acc))), row, row)
	a := e.same(at(values, 0))
	for j, v := range acc {
		for i := range v {
			e.VFMADD231PS(e.part(indexed(xt, row, 1, vecBytes*j), i), a[i], v[i])
		}
	}
	e.ADDQ(operand.Imm(4), values)
}

func log2(n int) uint8 {
	b := uint8(0)
	for ; n > 1; n /= 2 {
		b++
	}
	return b
}
