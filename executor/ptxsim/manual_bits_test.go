package ptxsim_test

import (
	"fmt"
	"math/rand"
	"testing"
)

// prmt is the generic form of "Data Movement and Conversion Instructions:
// prmt": the bytes of {b, a} are numbered 7 to 0, nibble n of c selects byte
// n of the result by its 3 low bits, and its high bit replicates the sign.
func prmt(a, b, c uint32) uint32 {
	source := uint64(b)<<32 | uint64(a)
	var d uint32
	for n := range 4 {
		control := c >> (4 * n) & 0xf
		value := uint32(source>>(8*(control&7))) & 0xff
		if control&8 != 0 {
			value = value >> 7 * 0xff
		}
		d |= value << (8 * n)
	}
	return d
}

func TestManualPrmt(t *testing.T) {
	p := program{in: 3, out: 1, body: "\tprmt.b32 %o0, %i0, %i1, %i2;\n"}
	wrong := map[string]reference{
		"a above b":       func(v []uint32) []uint32 { return []uint32{prmt(v[1], v[0], v[2])} },
		"no sign":         func(v []uint32) []uint32 { return []uint32{prmt(v[0], v[1], v[2]&^0x8888)} },
		"last byte first": func(v []uint32) []uint32 { return []uint32{prmt(v[0], v[1], reverseNibbles(v[2]))} },
	}
	right := func(v []uint32) []uint32 { return []uint32{prmt(v[0], v[1], v[2])} }
	p.compare(t, randomWords(rand.New(rand.NewSource(1)), 3*warp*32), right, wrong)

	// As compilers write it: to join and to split halves.
	for _, control := range []uint32{0x5410, 0x7632, 0x1032, 0x3120, 0xba98} {
		p := program{in: 2, out: 1, body: fmt.Sprintf("\tprmt.b32 %%o0, %%i0, %%i1, %d;\n", control)}
		p.compare(t, randomWords(rand.New(rand.NewSource(2)), 2*warp),
			func(v []uint32) []uint32 { return []uint32{prmt(v[0], v[1], control)} }, nil)
	}
}

func reverseNibbles(c uint32) uint32 {
	return c&0xf<<12 | c&0xf0<<4 | c>>4&0xf0 | c>>12&0xf
}

// lop3 is "Logic and Shift Instructions: lop3": immLut is F(0xF0, 0xCC, 0xAA),
// so its bit 4a+2b+c is F of the bits a, b and c.
func lop3(a, b, c, lut uint32) uint32 {
	var d uint32
	for i := range 32 {
		index := a>>i&1*4 + b>>i&1*2 + c>>i&1
		d |= lut >> index & 1 << i
	}
	return d
}

func TestManualLop3(t *testing.T) {
	const per = 32 // tables a program
	for first := uint32(0); first < 256; first += per {
		p := program{in: 3, out: per}
		for i := range uint32(per) {
			p.body += fmt.Sprintf("\tlop3.b32 %%o%d, %%i0, %%i1, %%i2, %d;\n", i, first+i)
		}
		all := func(order [3]int) reference {
			return func(v []uint32) []uint32 {
				d := make([]uint32, per)
				for i := range d {
					d[i] = lop3(v[order[0]], v[order[1]], v[order[2]], first+uint32(i))
				}
				return d
			}
		}
		p.compare(t, randomWords(rand.New(rand.NewSource(3)), 3*warp), all([3]int{0, 1, 2}), map[string]reference{
			"a for c": all([3]int{2, 1, 0}), "a for b": all([3]int{1, 0, 2}), "b for c": all([3]int{0, 2, 1}),
		})
	}
	// The manual's own examples.
	examples := map[uint32]func(a, b, c uint32) uint32{
		0x80: func(a, b, c uint32) uint32 { return a & b & c },
		0xfe: func(a, b, c uint32) uint32 { return a | b | c },
		0x40: func(a, b, c uint32) uint32 { return a & b &^ c },
		0x1a: func(a, b, c uint32) uint32 { return (a&b | c) ^ a },
	}
	for lut, f := range examples {
		p := program{in: 3, out: 1, body: fmt.Sprintf("\tlop3.b32 %%o0, %%i0, %%i1, %%i2, %#x;\n", lut)}
		p.compare(t, randomWords(rand.New(rand.NewSource(4)), 3*warp),
			func(v []uint32) []uint32 { return []uint32{f(v[0], v[1], v[2])} }, nil)
	}
}

// bfe is "Integer Arithmetic Instructions: bfe": position and length are the
// low 8 bits of b and c; what lies beyond the field is its sign bit.
func bfe(a, b, c uint32, signed bool) uint32 {
	position, length := int(b&0xff), int(c&0xff)
	var sign uint32
	if signed && length > 0 {
		sign = a >> min(position+length-1, 31) & 1
	}
	var d uint32
	for i := range 32 {
		bit := sign
		if i < length && position+i <= 31 {
			bit = a >> (position + i) & 1
		}
		d |= bit << i
	}
	return d
}

// bfi is "Integer Arithmetic Instructions: bfi": length bits of a over b from
// position on, as far as there are bits.
func bfi(a, b, c, d uint32) uint32 {
	position, length := int(c&0xff), int(d&0xff)
	for i := 0; i < length && position+i <= 31; i++ {
		b = b&^(1<<(position+i)) | a>>i&1<<(position+i)
	}
	return b
}

// fields are records of operands with positions and lengths: all small ones,
// and small ones with more than the 8 bits that count.
func fields(r *rand.Rand, operands int) []uint32 {
	var v []uint32
	add := func(position, length uint32) { v = append(append(v, randomWords(r, operands)...), position, length) }
	for position := range uint32(36) {
		for length := range uint32(36) {
			add(position, length)
		}
	}
	for i := uint32(0); i < 2*warp || len(v)%((operands+2)*warp) != 0; i++ {
		add(r.Uint32()&0x1f|i&1<<8, r.Uint32()&0x1f|i>>1&1<<8)
	}
	return v
}

func TestManualBitFields(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for _, signed := range []bool{false, true} {
		kind := "u32"
		if signed {
			kind = "s32"
		}
		p := program{in: 3, out: 1, body: fmt.Sprintf("\tbfe.%s %%o0, %%i0, %%i1, %%i2;\n", kind)}
		p.compare(t, fields(r, 1),
			func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[1], v[2], signed)} },
			map[string]reference{
				"length first":       func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[2], v[1], signed)} },
				"the other sign":     func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[1], v[2], !signed)} },
				"5 bits of position": func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[1]&31, v[2], signed)} },
				"5 bits of length":   func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[1], v[2]&31, signed)} },
				"all bits of length": func(v []uint32) []uint32 { return []uint32{bfe(v[0], v[1], min(v[2], 255), signed)} },
			})
	}
	p := program{in: 4, out: 1, body: "\tbfi.b32 %o0, %i0, %i1, %i2, %i3;\n"}
	p.compare(t, fields(r, 2),
		func(v []uint32) []uint32 { return []uint32{bfi(v[0], v[1], v[2], v[3])} },
		map[string]reference{
			"b into a":           func(v []uint32) []uint32 { return []uint32{bfi(v[1], v[0], v[2], v[3])} },
			"length first":       func(v []uint32) []uint32 { return []uint32{bfi(v[0], v[1], v[3], v[2])} },
			"5 bits of position": func(v []uint32) []uint32 { return []uint32{bfi(v[0], v[1], v[2]&31, v[3])} },
			"5 bits of length":   func(v []uint32) []uint32 { return []uint32{bfi(v[0], v[1], v[2], v[3]&31)} },
		})
}

// shf is "Logic and Shift Instructions: shf": of {b, a}, the high word after
// a shift to the left or the low word after one to the right.
func shf(a, b, c uint32, left, clamp bool) uint32 {
	n := c & 31
	if clamp {
		n = min(c, 32)
	}
	source := uint64(b)<<32 | uint64(a)
	if left {
		return uint32(source << n >> 32)
	}
	return uint32(source >> n)
}

func TestManualFunnelShift(t *testing.T) {
	r := rand.New(rand.NewSource(6))
	var records []uint32
	for c := range uint32(96) {
		records = append(append(records, randomWords(r, 2)...), c)
	}
	for range 32 {
		records = append(records, r.Uint32(), r.Uint32(), r.Uint32())
	}
	for _, left := range []bool{false, true} {
		for _, clamp := range []bool{false, true} {
			direction, mode := "r", "wrap"
			if left {
				direction = "l"
			}
			if clamp {
				mode = "clamp"
			}
			p := program{in: 3, out: 1, body: fmt.Sprintf("\tshf.%s.%s.b32 %%o0, %%i0, %%i1, %%i2;\n", direction, mode)}
			p.compare(t, records,
				func(v []uint32) []uint32 { return []uint32{shf(v[0], v[1], v[2], left, clamp)} },
				map[string]reference{
					"a above b":           func(v []uint32) []uint32 { return []uint32{shf(v[1], v[0], v[2], left, clamp)} },
					"the other direction": func(v []uint32) []uint32 { return []uint32{shf(v[0], v[1], v[2], !left, clamp)} },
					"the other mode":      func(v []uint32) []uint32 { return []uint32{shf(v[0], v[1], v[2], left, !clamp)} },
				})
		}
	}
}

// "mov (vector)": d = a.x | a.y << 16, and back: the first of the braces is
// the low half.
func TestManualMovePacks(t *testing.T) {
	records := randomWords(rand.New(rand.NewSource(7)), 2*warp)
	pack := program{in: 2, out: 1, body: "\tcvt.u16.u32 %rs0, %i0;\n\tcvt.u16.u32 %rs1, %i1;\n\tmov.b32 %o0, {%rs0, %rs1};\n"}
	pack.compare(t, records,
		func(v []uint32) []uint32 { return []uint32{v[0]&0xffff | v[1]<<16} },
		map[string]reference{"first high": func(v []uint32) []uint32 { return []uint32{v[1]&0xffff | v[0]<<16} }})

	unpack := program{in: 1, out: 2, body: "\tmov.b32 {%rs0, %rs1}, %i0;\n\tcvt.u32.u16 %o0, %rs0;\n\tcvt.u32.u16 %o1, %rs1;\n"}
	unpack.compare(t, records,
		func(v []uint32) []uint32 { return []uint32{v[0] & 0xffff, v[0] >> 16} },
		map[string]reference{"first high": func(v []uint32) []uint32 { return []uint32{v[0] >> 16, v[0] & 0xffff} }})

	wide := program{in: 2, out: 3, body: "\tmov.b64 %rd20, {%i0, %i1};\n\tcvt.u32.u64 %o0, %rd20;\n\tmov.b64 {%o1, %o2}, %rd20;\n"}
	wide.compare(t, records,
		func(v []uint32) []uint32 { return []uint32{v[0], v[0], v[1]} },
		map[string]reference{"first high": func(v []uint32) []uint32 { return []uint32{v[1], v[0], v[1]} }})
}
