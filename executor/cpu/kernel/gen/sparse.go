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

// csrVectors are the widths of the sparse kernel, in vectors of 16 tokens.
var csrVectors = []int{1, 2, 4}

func (e *emitter) csrFamily() {
	for _, v := range csrVectors {
		e.csr(v)
	}
}

// csr emits one output feature for 16·vecs tokens: y = bias + the sum over n
// entries of value · the row of xt at its column.
func (e *emitter) csr(vecs int) {
	e.function(fmt.Sprintf("csr%d", vecs),
		"func(xt *float32, columns *int32, values *float32, n int, y *float32, bias float32)")
	e.Commentf("y[%d] = bias + the sum of values[i]·xt[columns[i], :]", lanes*vecs)
	bias := e.scalar("bias")
	acc := e.vectors(vecs)
	for _, v := range acc {
		for i := range v {
			e.VMOVAPS(bias[i], v[i])
		}
	}
	xt, columns, values, n := e.param("xt"), e.param("columns"), e.param("values"), e.param("n")
	e.TESTQ(n, n)
	e.JEQ(operand.LabelRef("done"))
	e.loop("entry", n, func() {
		row := e.GP64()
		e.MOVLQSX(at(columns, 0), row)
		e.SHLQ(operand.U8(log2(vecBytes*vecs)), row)
		a := e.same(at(values, 0))
		for j, v := range acc {
			for i := range v {
				e.VFMADD231PS(e.part(indexed(xt, row, 1, vecBytes*j), i), a[i], v[i])
			}
		}
		e.ADDQ(operand.Imm(4), columns)
		e.ADDQ(operand.Imm(4), values)
	})
	e.Label("done")
	y := e.param("y")
	for j, v := range acc {
		e.store(v, at(y, vecBytes*j))
	}
	e.end()
}

func log2(n int) uint8 {
	b := uint8(0)
	for ; n > 1; n /= 2 {
		b++
	}
	return b
}
