package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	lanes    = 16 // of a vector
	vecBytes = 4 * lanes
)

// An emitter emits kernels for one level.
type emitter struct {
	*build.Context
	level     string // ends the names of its kernels
	parts     int    // registers that hold one vector
	rows      int    // most rows of a product block
	register  func() reg.VecVirtual
	constants *constants
	// dots is acc += x·w in each lane, over two int16 or over four bytes, those
	// of x unsigned; nil where the level has no such instruction.
	dots func(bits int, w, x, acc operand.Op) *ir.Instruction
}

func avx2(c *build.Context, k *constants) *emitter {
	return &emitter{c, "AVX2", 2, 6, c.YMM, k, nil}
}

func avx512(c *build.Context, k *constants) *emitter {
	return &emitter{c, "AVX512", 1, 8, c.ZMM, k, nil}
}

// withDots is e with dot products, under another name.
func (e *emitter) withDots(level string, dots func(bits int, w, x, acc operand.Op) *ir.Instruction) *emitter {
	d := *e
	d.level, d.dots = level, dots
	return &d
}

// A vector is 16 lanes in one or two registers, low lanes first.
type vector []reg.VecVirtual

func (e *emitter) vector() vector {
	v := make(vector, e.parts)
	for i := range v {
		v[i] = e.register()
	}
	return v
}

func (e *emitter) vectors(n int) []vector {
	v := make([]vector, n)
	for i := range v {
		v[i] = e.vector()
	}
	return v
}

// part is part i of the vector at m.
func (e *emitter) part(m operand.Mem, i int) operand.Mem {
	return m.Offset(i * vecBytes / e.parts)
}

func (e *emitter) load(m operand.Mem, v vector) {
	for i := range v {
		e.VMOVUPS(e.part(m, i), v[i])
	}
}

func (e *emitter) store(v vector, m operand.Mem) {
	for i := range v {
		e.VMOVUPS(v[i], e.part(m, i))
	}
}

func (e *emitter) zero(v vector) {
	for i := range v {
		e.VXORPS(v[i], v[i], v[i])
	}
}

// same is a vector whose lanes are all alike: one register serves all parts.
func (e *emitter) same(m operand.Op) vector {
	r := e.register()
	e.VBROADCASTSS(m, r)
	v := make(vector, e.parts)
	for i := range v {
		v[i] = r
	}
	return v
}

// constant is a vector in memory, for use as an operand.
func (e *emitter) constant(x float64) []operand.Op {
	m := e.constants.at(x)
	ops := make([]operand.Op, e.parts)
	for i := range ops {
		ops[i] = e.part(m, i)
	}
	return ops
}

func (v vector) ops() []operand.Op {
	ops := make([]operand.Op, len(v))
	for i := range v {
		ops[i] = v[i]
	}
	return ops
}

// each emits op for each part; the operands are in Go's order.
func each(op func(...operand.Op), a []operand.Op, b, dst vector) {
	for i := range dst {
		op(a[i], b[i], dst[i])
	}
}

// fold emits the fixed tree that reduces 16 lanes: i and i+8, then i and i+4,
// i+2, i+1. The result is lane 0 of the register returned.
func (e *emitter) fold(op func(...operand.Op), v vector) reg.VecVirtual {
	low := v[0].AsY()
	if e.parts == 2 {
		op(v[1], low, low)
	} else {
		high := e.YMM()
		e.VEXTRACTF64X4(operand.U8(1), v[0], high)
		op(high, low, low)
	}
	x := e.XMM()
	e.VEXTRACTF128(operand.U8(1), low, x)
	op(x, v[0].AsX(), x)
	y := e.XMM()
	e.VPERMILPS(operand.U8(0b1110), x, y) // lanes 2, 3
	op(y, x, x)
	e.VPERMILPS(operand.U8(0b01), x, y) // lane 1
	op(y, x, x)
	return x
}

func (e *emitter) function(name, signature string) {
	function(e.Context, name+e.level, signature)
}

func function(c *build.Context, name, signature string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr(signature)
}

// end clears the upper halves of the registers, without which SSE code that
// follows is slow, and returns.
func (e *emitter) end() {
	e.VZEROUPPER()
	e.RET()
}

func param(c *build.Context, name string) reg.GPVirtual {
	return c.Load(c.Param(name), c.GP64()).(reg.GPVirtual)
}

func (e *emitter) param(name string) reg.GPVirtual { return param(e.Context, name) }

// scalar is a float32 parameter in all lanes.
func (e *emitter) scalar(name string) vector {
	p, err := e.Param(name).Resolve()
	if err != nil {
		panic("bug: " + err.Error())
	}
	return e.same(p.Addr)
}

// loop emits body n times, n > 0, counting in the register n.
func (e *emitter) loop(label string, n reg.Register, body func()) {
	e.Label(label)
	body()
	e.DECQ(n)
	e.JNE(operand.LabelRef(label))
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func indexed(base, index reg.Register, scale, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: uint8(scale), Disp: disp}
}

// constants is a table of vectors whose lanes are alike.
type constants struct {
	c      *build.Context
	offset map[uint32]int
	table  operand.Mem
}

func newConstants(c *build.Context) *constants {
	k := &constants{c: c, offset: map[uint32]int{}}
	k.table = c.StaticGlobal("constants")
	c.DataAttributes(attr.RODATA | attr.NOPTR) // without NOPTR the linker wants type information
	for _, x := range allConstants() {
		b := math.Float32bits(float32(x))
		if _, ok := k.offset[b]; ok {
			continue
		}
		at := vecBytes * len(k.offset)
		k.offset[b] = at
		for i := range lanes {
			c.AddDatum(at+4*i, operand.U32(b))
		}
	}
	return k
}

func (k *constants) at(x float64) operand.Mem {
	offset, ok := k.offset[math.Float32bits(float32(x))]
	if !ok {
		panic("bug: constant is not in the table")
	}
	return k.table.Offset(offset)
}
