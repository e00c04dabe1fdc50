package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
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

// csr emits the steps of one stripe of inputs for 16·vecs tokens: for each row
// of W, sums += the kept values, one for each bit of its mask, times the row of
// xt of that bit. With a bias the sums start from it. The tests of the masks run
// ahead of the FMAs, so that a wrong guess where a row ends costs little.
func (e *emitter) csr(vecs int) {
	e.function(fmt.Sprintf("csr%d", vecs),
		"func(xt *float32, masks *uint64, values *float32, rows int, sums *float32, bias *float32, biasStep int)")
	e.Commentf("sums[rows, %d] = (bias or sums) + kept values · xt; biasStep is in bytes.", lanes*vecs)
	xt, masks, values, rows := e.param("xt"), e.param("masks"), e.param("values"), e.param("rows")
	sums, bias, step := e.param("sums"), e.param("bias"), e.param("biasStep")
	acc := e.vectors(vecs)
	e.loop("row", rows, func() {
		mask := e.GP64()
		e.MOVQ(at(masks, 0), mask)
		e.ADDQ(operand.Imm(8), masks)
		e.TESTQ(bias, bias)
		e.JEQ(operand.LabelRef("resume"))
		for _, v := range acc {
			for i := range v {
				e.VBROADCASTSS(at(bias, 0), v[i])
			}
		}
		e.ADDQ(step, bias)
		e.JMP(operand.LabelRef("begin"))
		e.Label("resume")
		for j, v := range acc {
			e.load(at(sums, vecBytes*j), v)
		}
		e.Label("begin")
		e.TESTQ(mask, mask)
		e.JEQ(operand.LabelRef("store"))
		e.Label("value")
		row := e.GP64()
		e.TZCNTQ(mask, row)
		e.IMUL3Q(operand.I32(int32(vecBytes*vecs)), row, row)
		a := e.same(at(values, 0))
		for j, v := range acc {
			for i := range v {
				e.VFMADD231PS(e.part(indexed(xt, row, 1, vecBytes*j), i), a[i], v[i])
			}
		}
		e.ADDQ(operand.Imm(4), values)
		e.BLSRQ(mask, mask)
		e.JNE(operand.LabelRef("value"))
		e.Label("store")
		for j, v := range acc {
			e.store(v, at(sums, vecBytes*j))
		}
		e.ADDQ(operand.I32(int32(vecBytes*vecs)), sums)
	})
	e.end()
}

func log2(n int) uint8 {
	b := uint8(0)
	for ; n > 1; n /= 2 {
		b++
	}
	return b
}
