package ptxsim

import (
	"fmt"
	"math/bits"
)

// signed is the value of the lower bits of x as a signed number.
func signed(x uint64, bits int) int64 { return int64(x) << (64 - bits) >> (64 - bits) }

// integers enters the arithmetic of 16, 32 and 64 bits. Results keep their
// lower bits; division by zero gives all ones, as the hardware does.
func (t table) integers() {
	t.fastIntegers()
	for _, n := range []int{16, 64} {
		c, m := classOf(n), widthMask(n)
		s := func(names string) string { return each(names, fmt.Sprintf("s%d", n), fmt.Sprintf("u%d", n)) }
		t.two(s("add.%"), repeat(c, 3), func(x, y uint64) uint64 { return (x + y) & m })
		t.two(s("sub.%"), repeat(c, 3), func(x, y uint64) uint64 { return (x - y) & m })
		t.two(s("mul.lo.%"), repeat(c, 3), func(x, y uint64) uint64 { return x * y & m })
		t.three(s("mad.lo.%"), repeat(c, 4), func(x, y, z uint64) uint64 { return (x*y + z) & m })
	}
	for _, n := range []int{16, 32, 64} {
		t.signedIntegers(n)
		t.unsignedIntegers(n)
	}
}

func classOf(bits int) class {
	switch bits {
	case 16:
		return half
	case 32:
		return single
	}
	return double
}

func (t table) signedIntegers(n int) {
	c, m := classOf(n), widthMask(n)
	name := func(op string) string { return fmt.Sprintf("%s.s%d", op, n) }
	two := func(op string, f func(x, y int64) int64) {
		t.two(name(op), repeat(c, 3), func(x, y uint64) uint64 { return uint64(f(signed(x, n), signed(y, n))) & m })
	}
	one := func(op string, f func(x int64) int64) {
		t.one(name(op), repeat(c, 2), func(x uint64) uint64 { return uint64(f(signed(x, n))) & m })
	}
	two("min", func(x, y int64) int64 { return min(x, y) })
	two("max", func(x, y int64) int64 { return max(x, y) })
	two("div", func(x, y int64) int64 {
		if y == 0 {
			return -1
		}
		return x / y
	})
	two("rem", func(x, y int64) int64 {
		if y == 0 {
			return x
		}
		return x % y
	})
	two("mul.hi", func(x, y int64) int64 {
		if n < 64 {
			return x * y >> n
		}
		hi, _ := bits.Mul64(uint64(x), uint64(y))
		return int64(hi) - x>>63&y - y>>63&x
	})
	one("abs", func(x int64) int64 { return max(x, -x) })
	one("neg", func(x int64) int64 { return -x })
	t.two(fmt.Sprintf("shr.s%d", n), string([]class{c, c, single}), func(x, y uint64) uint64 {
		return uint64(signed(x, n)>>min(y, 63)) & m
	})
}

func (t table) unsignedIntegers(n int) {
	c, m := classOf(n), widthMask(n)
	name := func(op string) string { return fmt.Sprintf("%s.u%d", op, n) }
	two := func(op string, f func(x, y uint64) uint64) { t.two(name(op), repeat(c, 3), f) }
	two("min", func(x, y uint64) uint64 { return min(x, y) })
	two("max", func(x, y uint64) uint64 { return max(x, y) })
	two("div", func(x, y uint64) uint64 {
		if y == 0 {
			return m
		}
		return x / y
	})
	two("rem", func(x, y uint64) uint64 {
		if y == 0 {
			return x
		}
		return x % y
	})
	two("mul.hi", func(x, y uint64) uint64 {
		hi, lo := bits.Mul64(x, y)
		if n < 64 {
			return lo >> n
		}
		return hi
	})
}

// wideIntegers enters products of twice the width, and sums with the upper
// half of a product.
func (t table) wideIntegers() {
	for _, n := range []int{16, 32} {
		c, w := classOf(n), classOf(2*n)
		m := widthMask(2 * n)
		wide := func(x, y uint64) uint64 { return uint64(signed(x, n)*signed(y, n)) & m }
		t.two(fmt.Sprintf("mul.wide.s%d", n), string([]class{w, c, c}), wide)
		t.two(fmt.Sprintf("mul.wide.u%d", n), string([]class{w, c, c}), func(x, y uint64) uint64 { return x * y })
		t.three(fmt.Sprintf("mad.wide.s%d", n), string([]class{w, c, c, w}), func(x, y, z uint64) uint64 { return (wide(x, y) + z) & m })
		t.three(fmt.Sprintf("mad.wide.u%d", n), string([]class{w, c, c, w}), func(x, y, z uint64) uint64 { return (x*y + z) & m })
	}
	t.three("mad.hi.u32", "wwww", func(x, y, z uint64) uint64 { return (x*y>>32 + z) & 0xffffffff })
	t.three("mad.hi.s32", "wwww", func(x, y, z uint64) uint64 {
		return (uint64(signed(x, 32)*signed(y, 32)>>32) + z) & 0xffffffff
	})
}

// fastIntegers enters the arithmetic of 32 bits that kernels spend their time
// in, as loops of their own.
func (t table) fastIntegers() {
	const m = 0xffffffff
	t.add("add.s32 add.u32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = (a[i] + b[i]) & m
		}
	})
	t.add("sub.s32 sub.u32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = (a[i] - b[i]) & m
		}
	})
	t.add("mul.lo.s32 mul.lo.u32", "www", func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = a[i] * b[i] & m
		}
	})
	t.add("mad.lo.s32 mad.lo.u32", "wwww", func(d, a, b, c, _ *lanes) {
		for i := range d {
			d[i] = (a[i]*b[i] + c[i]) & m
		}
	})
}
