package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A row is asked for 1<<aheadShift rows before it is copied: rows lie too far
// apart for the machine to see a pattern.
const aheadShift = 3

func (e *emitter) scalar(name string) reg.VecVirtual {
	p, err := e.Param(name).Resolve()
	if err != nil {
		panic("bug: " + err.Error())
	}
	v := e.YMM()
	e.VBROADCASTSD(p.Addr, v)
	return v
}

// copyRows emits to[n,width] = scale·from.
func (e *emitter) copyRows(width int) {
	e.function(fmt.Sprintf("copy%d", width), "func(n int, scale float64, from *float64, stride int, to *float64)")
	e.Commentf("to[n,%d] = scale·from for n > 0; stride is in bytes", width)
	n, scale, from, stride, to := e.param("n"), e.scalar("scale"), e.param("from"), e.param("stride"), e.param("to")
	next := e.GP64()
	e.MOVQ(stride, next)
	e.SHLQ(operand.U8(aheadShift), next)
	e.ADDQ(from, next)
	e.Label("loop")
	e.PREFETCHT0(at(next, 0))
	e.PREFETCHT0(at(next, (width-1)*double))
	x, y, part := e.YMM(), reg.Register(e.YMM()), reg.Register(scale)
	if width == 6 {
		y, part = e.XMM(), scale.AsX()
	}
	e.VMULPD(at(from, 0), scale, x)
	e.VMULPD(at(from, vector), part, y)
	e.VMOVUPD(x, at(to, 0))
	e.VMOVUPD(y, at(to, vector))
	e.ADDQ(stride, from)
	e.ADDQ(stride, next)
	e.ADDQ(operand.I32(int32(width*double)), to)
	e.DECQ(n)
	e.JNE(operand.LabelRef("loop"))
	e.end()
}

// transpose emits n squares of 4×4, each transposed, times scale.
func (e *emitter) transpose() {
	e.function("transpose", "func(n int, scale float64, from *float64, fromStride, fromStep int, to *float64, toStride, toStep int)")
	e.Comment("n > 0 squares of 4×4 values; strides and steps are in bytes")
	n, scale, from, to := e.param("n"), e.scalar("scale"), e.param("from"), e.param("to")
	fromStride, fromStep, toStride, toStep := e.param("fromStride"), e.param("fromStep"), e.param("toStride"), e.param("toStep")
	three, toThree := e.triple(fromStride), e.triple(toStride)
	e.Label("loop")
	var in, pairs, out [4]reg.VecVirtual
	for i := range in {
		in[i], pairs[i], out[i] = e.YMM(), e.YMM(), e.YMM()
		e.VMULPD(line(from, fromStride, three, i), scale, in[i])
	}
	for i := 0; i < 4; i += 2 { // pairs: columns 0 and 2, then 1 and 3, of two lines
		e.VUNPCKLPD(in[i+1], in[i], pairs[i])
		e.VUNPCKHPD(in[i+1], in[i], pairs[i+1])
	}
	for j := range out {
		halves := operand.U8(0x20) // the low ones
		if j >= 2 {
			halves = 0x31
		}
		e.VPERM2F128(halves, pairs[2+j%2], pairs[j%2], out[j])
		e.VMOVUPD(out[j], line(to, toStride, toThree, j))
	}
	e.ADDQ(fromStep, from)
	e.ADDQ(toStep, to)
	e.DECQ(n)
	e.JNE(operand.LabelRef("loop"))
	e.end()
}

// triple is three strides.
func (e *emitter) triple(stride reg.Register) reg.Register {
	three := e.GP64()
	e.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, three)
	return three
}

// line is line i, 0 to 3, of a square.
func line(base, stride, three reg.Register, i int) operand.Mem {
	switch i {
	case 0:
		return at(base, 0)
	case 3:
		return operand.Mem{Base: base, Index: three, Scale: 1}
	}
	return operand.Mem{Base: base, Index: stride, Scale: uint8(i)}
}
