package ptxsim

import (
	"fmt"
	"math/bits"
)

// logic enters bitwise operators and shifts. A shift by the width or more
// leaves nothing.
func (t table) logic() {
	for _, n := range []int{16, 32, 64} {
		c, m := classOf(n), widthMask(n)
		b := fmt.Sprintf("b%d", n)
		t.add("and."+b, repeat(c, 3), func(d, x, y, _, _ *lanes) {
			for i := range d {
				d[i] = x[i] & y[i]
			}
		})
		t.add("or."+b, repeat(c, 3), func(d, x, y, _, _ *lanes) {
			for i := range d {
				d[i] = x[i] | y[i]
			}
		})
		t.add("xor."+b, repeat(c, 3), func(d, x, y, _, _ *lanes) {
			for i := range d {
				d[i] = x[i] ^ y[i]
			}
		})
		t.one("not."+b, repeat(c, 2), func(x uint64) uint64 { return ^x & m })
		t.one("cnot."+b, repeat(c, 2), func(x uint64) uint64 {
			if x == 0 {
				return 1
			}
			return 0
		})
		shift := string([]class{c, c, single})
		t.add("shl."+b, shift, func(d, x, y, _, _ *lanes) {
			for i := range d {
				d[i] = x[i] << y[i] & m
			}
		})
		t.add(fmt.Sprintf("shr.u%d shr.%s", n, b), shift, func(d, x, y, _, _ *lanes) {
			for i := range d {
				d[i] = x[i] >> y[i]
			}
		})
	}
}

// bitFields enters what picks bits and bytes.
func (t table) bitFields() {
	for _, n := range []int{32, 64} {
		c := classOf(n)
		count := string([]class{single, c})
		t.one(fmt.Sprintf("popc.b%d", n), count, func(x uint64) uint64 { return uint64(bits.OnesCount64(x)) })
		t.one(fmt.Sprintf("clz.b%d", n), count, func(x uint64) uint64 { return uint64(bits.LeadingZeros64(x) - 64 + n) })
		t.one(fmt.Sprintf("brev.b%d", n), repeat(c, 2), func(x uint64) uint64 { return bits.Reverse64(x) >> (64 - n) })
		for name, top := range map[string]func(x uint64) uint64{
			"bfind.%su": func(x uint64) uint64 { return x },
			"bfind.%ss": func(x uint64) uint64 { s := signed(x, n); return uint64(s ^ s>>63) },
		} {
			t.one(fmt.Sprintf(name+"%d", "", n), count, func(x uint64) uint64 { return uint64(bits.Len64(top(x))-1) & 0xffffffff })
			t.one(fmt.Sprintf(name+"%d", "shiftamt.", n), count, func(x uint64) uint64 {
				if top(x) == 0 {
					return 0xffffffff
				}
				return uint64(n - bits.Len64(top(x)))
			})
		}
		field := string([]class{c, c, single, single})
		t.three(fmt.Sprintf("bfe.u%d", n), field, func(x, from, length uint64) uint64 {
			return x >> (from & 0xff) & widthMask(int(length&0xff))
		})
		t.three(fmt.Sprintf("bfe.s%d", n), field, func(x, from, length uint64) uint64 { return signedField(x, from, length, n) })
		t.four(fmt.Sprintf("bfi.b%d", n), string([]class{c, c, c, single, single}), func(x, y, from, length uint64) uint64 {
			mask := widthMask(int(length&0xff)) << (from & 0xff) & widthMask(n)
			return y&^mask | x<<(from&0xff)&mask
		})
	}
	t.four("lop3.b32", "wwwww", lop3)
	t.three("prmt.b32", "wwww", prmt)
	t.three("shf.l.wrap.b32", "wwww", func(x, y, n uint64) uint64 { return (y<<32 | x) << (n & 31) >> 32 })
	t.three("shf.l.clamp.b32", "wwww", func(x, y, n uint64) uint64 { return (y<<32 | x) << min(n, 32) >> 32 })
	t.three("shf.r.wrap.b32", "wwww", func(x, y, n uint64) uint64 { return (y<<32 | x) >> (n & 31) & 0xffffffff })
	t.three("shf.r.clamp.b32", "wwww", func(x, y, n uint64) uint64 { return (y<<32 | x) >> min(n, 32) & 0xffffffff })
}

// signedField is bits [from, from+length) of an n-bit x with the sign of its
// last bit, or of x's own where the field reaches beyond it.
func signedField(x, from, length uint64, n int) uint64 {
	from, length = from&0xff, length&0xff
	if length == 0 {
		return 0
	}
	sign := x >> min(from+length-1, uint64(n-1)) & 1
	v := x >> from
	kept := max(min(int(length), n-int(from)), 0)
	v &= widthMask(kept)
	if sign != 0 {
		v |= ^widthMask(kept)
	}
	return v & widthMask(n)
}

// lop3 is the function of three bits whose table is f: bit 4a+2b+c of it.
func lop3(a, b, c, f uint64) uint64 {
	var r uint64
	for i := range uint64(8) {
		if f>>i&1 == 0 {
			continue
		}
		x, y, z := a, b, c
		if i&4 == 0 {
			x = ^x
		}
		if i&2 == 0 {
			y = ^y
		}
		if i&1 == 0 {
			z = ^z
		}
		r |= x & y & z
	}
	return r & 0xffffffff
}

// prmt picks four of the eight bytes of b:a by the four digits of s; bit 3 of
// a digit spreads the byte's sign instead.
func prmt(a, b, s uint64) uint64 {
	v := b<<32 | a
	var r uint64
	for i := range 4 {
		digit := s >> (4 * i) & 15
		x := v >> (8 * (digit & 7)) & 0xff
		if digit&8 != 0 {
			x = x >> 7 * 0xff
		}
		r |= x << (8 * i)
	}
	return r
}

// moves enters moves of whole registers, addresses among them.
func (t table) moves() {
	move := func(d, a, _, _, _ *lanes) { *d = *a }
	t.add(each("mov.%", "b16", "u16", "s16", "f16", "bf16"), "hh", move)
	t.add(each("mov.%", "b32", "u32", "s32", "f32", "f16x2"), "ww", move)
	t.add(each("mov.%", "b64", "u64", "s64", "f64"), "dd", move)
	t.add("cvta.to.global.u64 cvta.global.u64 cvta.to.const.u64 cvta.const.u64", "dd", move)
	window := func(names string, base uint64) {
		t.one(each("cvta.%.u64", names), "dd", func(x uint64) uint64 { return x + base })
		t.one(each("cvta.to.%.u64", names), "dd", func(x uint64) uint64 { return x - base })
	}
	window("shared", sharedWindow)
	window("local", localWindow)
	t.selects()
}

// selects enters selp, which reads a predicate.
func (t table) selects() {
	for _, s := range []struct {
		names string
		c     class
	}{
		{each("selp.%", "b16", "u16", "s16", "f16"), half},
		{each("selp.%", "b32", "u32", "s32", "f32"), single},
		{each("selp.%", "b64", "u64", "s64", "f64"), double},
	} {
		t.enter(s.names, string([]class{s.c, s.c, s.c, predicate}), execSelect)
	}
	t.three(each("slct.%.s32", "b32", "u32", "s32", "f32"), "wwww", func(x, y, z uint64) uint64 {
		if signed(z, 32) >= 0 {
			return x
		}
		return y
	})
}

func execSelect(w *warp, in *inst, m uint32) {
	p, d, a, b := w.p[in.c], &w.r[in.d], &w.r[in.a], &w.r[in.b]
	for i := range d {
		if m>>uint(i)&1 == 0 {
			continue
		}
		if p>>uint(i)&1 != 0 {
			d[i] = a[i]
		} else {
			d[i] = b[i]
		}
	}
}
