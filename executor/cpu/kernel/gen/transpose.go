package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose emits dst[column][row] = src[row][column] for 8 rows and 4·n
// columns. It loads rows r and r+4 into the halves of a register, so that a
// 4×4 transposition of the halves is one of 8×4 of the whole.
func transpose(c *build.Context) {
	function(c, "transpose8AVX2", "func(dst *float32, dstStride int, src *float32, srcStride int, n int)")
	dst, dstStride, low, srcStride := param(c, "dst"), param(c, "dstStride"), param(c, "src"), param(c, "srcStride")
	high, three := c.GP64(), c.GP64()
	c.LEAQ(indexed(low, srcStride, 4, 0), high)
	c.LEAQ(indexed(srcStride, srcStride, 2, 0), three)
	row := func(base reg.Register, r int) operand.Mem {
		switch r {
		case 0:
			return at(base, 0)
		case 3:
			return indexed(base, three, 1, 0)
		}
		return indexed(base, srcStride, r, 0)
	}
	n := param(c, "n")
	c.Label("loop")
	var a [4]reg.VecVirtual
	for r := range a {
		a[r] = c.YMM()
		c.VMOVUPS(row(low, r), a[r].AsX())
		c.VINSERTF128(operand.U8(1), row(high, r), a[r], a[r])
	}
	for _, v := range transposed4(c, a) {
		c.VMOVUPS(v, at(dst, 0))
		c.ADDQ(dstStride, dst)
	}
	c.ADDQ(operand.Imm(16), low)
	c.ADDQ(operand.Imm(16), high)
	c.DECQ(n)
	c.JNE(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

// transposed4 transposes both halves of four registers.
func transposed4(c *build.Context, a [4]reg.VecVirtual) [4]reg.VecVirtual {
	var t, d [4]reg.VecVirtual
	for i := range t {
		t[i], d[i] = c.YMM(), c.YMM()
	}
	c.VUNPCKLPS(a[1], a[0], t[0]) // a00 a10 a01 a11
	c.VUNPCKHPS(a[1], a[0], t[1]) // a02 a12 a03 a13
	c.VUNPCKLPS(a[3], a[2], t[2])
	c.VUNPCKHPS(a[3], a[2], t[3])
	const lowPairs, highPairs = 0b01_00_01_00, 0b11_10_11_10
	c.VSHUFPS(operand.U8(lowPairs), t[2], t[0], d[0])
	c.VSHUFPS(operand.U8(highPairs), t[2], t[0], d[1])
	c.VSHUFPS(operand.U8(lowPairs), t[3], t[1], d[2])
	c.VSHUFPS(operand.U8(highPairs), t[3], t[1], d[3])
	return d
}
