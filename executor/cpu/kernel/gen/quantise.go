package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantisation emits what turns a row of float32 into integers, over whole
// vectors: its size, and the integers in the forms that products take.
func (e *emitter) quantisation() {
	e.sumSquares()
	e.maxBits()
	e.quantise("quantise16", func() store { return e.storeInt16 })
	e.quantise("quantise8Wide", func() store {
		return func(v vector, dst reg.GPVirtual) {
			for i := range v { // inputs 0, 2, 1, 3
				e.VPSHUFD(operand.U8(0b11_01_10_00), v[i], v[i])
			}
			e.storeInt16(v, dst)
		}
	})
	e.quantise("quantise8", e.storeUint8)
}

// A store emits how 16 integers are stored, and goes past them.
type store func(v vector, dst reg.GPVirtual)

// overVectors emits body for each of n vectors, x and dst so many bytes on.
func (e *emitter) overVectors(body func()) {
	e.loop("vector", e.param("vecs"), body)
}

// sumSquares emits sum += x² by lanes of float64.
func (e *emitter) sumSquares() {
	e.function("sumSquares", "func(x *float32, vecs int, sum *float64)")
	x, to := e.param("x"), e.param("sum")
	const doubles = 8 // bytes of one
	sum := make([]reg.VecVirtual, 2*e.parts)
	bytes := doubles * lanes / len(sum)
	for i := range sum {
		sum[i] = e.register()
		e.VMOVUPD(at(to, bytes*i), sum[i])
	}
	e.overVectors(func() {
		for i := range sum {
			v := e.register()
			e.VCVTPS2PD(at(x, bytes/2*i), v)
			e.VFMADD231PD(v, v, sum[i])
		}
		e.ADDQ(operand.Imm(vecBytes), x)
	})
	for i := range sum {
		e.VMOVUPD(sum[i], at(to, bytes*i))
	}
	e.end()
}

// maxBits emits most = max(most, |x|) by lanes, as bits.
func (e *emitter) maxBits() {
	e.function("maxBits", "func(x *float32, vecs int, most *uint32)")
	x, to, most := e.param("x"), e.param("most"), e.vector()
	e.load(at(to, 0), most)
	magnitude := e.bits(0x7fffffff)
	e.overVectors(func() {
		v := e.vector()
		e.load(at(x, 0), v)
		each(e.VANDPS, magnitude.ops(), v, v)
		each(e.VPMAXSD, v.ops(), most, most)
		e.ADDQ(operand.Imm(vecBytes), x)
	})
	e.store(most, at(to, 0))
	e.end()
}

// bits is a vector of one pattern.
func (e *emitter) bits(pattern uint32) vector {
	g, x, r := e.GP32(), e.XMM(), e.register()
	e.MOVL(operand.U32(pattern), g)
	e.VMOVD(g, x)
	e.VPBROADCASTD(x, r)
	v := make(vector, e.parts)
	for i := range v {
		v[i] = r
	}
	return v
}

// quantise emits dst = round(x·factor), saturated.
func (e *emitter) quantise(name string, prepare func() store) {
	e.function(name, "func(dst *byte, x *float32, vecs int, factor float32)")
	dst, x, factor := e.param("dst"), e.param("x"), e.scalar("factor")
	put := prepare()
	e.overVectors(func() {
		v := e.vector()
		for i := range v {
			e.VMULPS(e.part(at(x, 0), i), factor[i], v[i])
			e.VCVTPS2DQ(v[i], v[i])
		}
		put(v, dst)
		e.ADDQ(operand.Imm(vecBytes), x)
	})
	e.end()
}

// storeInt16 stores 16 integers as int16.
func (e *emitter) storeInt16(v vector, dst reg.GPVirtual) {
	e.VMOVUPS(e.narrow16(v), at(dst, 0))
	e.ADDQ(operand.Imm(2*lanes), dst)
}

// narrow16 is a vector of 16 int16.
func (e *emitter) narrow16(v vector) reg.VecVirtual {
	y := e.YMM()
	if e.parts == 1 {
		e.VPMOVSDW(v[0], y)
		return y
	}
	e.VPACKSSDW(v[1], v[0], y)
	e.VPERMQ(operand.U8(0b11_01_10_00), y, y)
	return y
}

// storeUint8 stores 16 integers as int8 plus 128, which turns the sign.
func (e *emitter) storeUint8() store {
	signs := e.bits(0x80808080)[0].AsX()
	return func(v vector, dst reg.GPVirtual) {
		y, high := e.narrow16(v), e.XMM()
		e.VEXTRACTI128(operand.U8(1), y, high)
		e.VPACKSSWB(high, y.AsX(), high)
		e.VXORPS(signs, high, high)
		e.VMOVUPS(high, at(dst, 0))
		e.ADDQ(operand.Imm(lanes), dst)
	}
}
