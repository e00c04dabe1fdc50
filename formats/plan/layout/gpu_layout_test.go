package layout

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// bf16 is the upper halves of w: as elements of two bytes, none of which becomes zero.
func bf16(w []float32) []uint16 {
	h := make([]uint16, len(w))
	for i, v := range w {
		h[i] = uint16(math.Float32bits(v) >> 16)
	}
	return h
}

func TestPackingForGPUsKeepsTheMatrix(t *testing.T) {
	more := [][2]int{{16, 64}, {40, 65}, {33, 200}, {7, 129}}
	for i, s := range append(more, shapes...) {
		n, k := s[0], s[1]
		for _, keep := range []float64{0, 0.3, 1} {
			w := bf16(random(n, k, keep, uint64(i)))
			p, err := CheckPadded(n, k, aligned(PackPadded(w, n, k)))
			sameHalves(t, "padded", n, k, w, p.Unpack, err)
			ti, err := CheckGPUTiles(n, k, aligned(PackGPUTiles(w, n, k)))
			sameHalves(t, "gpu tiles", n, k, w, ti.Unpack, err)
			c, err := CheckGPUCSR(n, k, aligned(PackGPUCSR(w, n, k)))
			sameHalves(t, "gpu csr", n, k, w, c.Unpack, err)
			if want := CountTiles(random(n, k, keep, uint64(i)), n, k); len(ti.Values) != want*tileHalves {
				t.Errorf("gpu tiles [%d %d]: %d values, want %d tiles", n, k, len(ti.Values), want)
			}
		}
		w := bf16(random24(n, k, uint64(i)))
		s, err := CheckGPU24(n, k, aligned(PackGPU24(w, n, k)))
		sameHalves(t, "gpu 2:4", n, k, w, s.Unpack, err)
	}
}

func sameHalves(t *testing.T, what string, n, k int, want []uint16, unpack func() []uint16, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s [%d %d]: %v", what, n, k, err)
		return
	}
	if got := unpack(); !slices.Equal(got, want) {
		t.Errorf("%s [%d %d]: unpacked matrix differs", what, n, k)
	}
}

// TestBytesForGPUs writes out by hand what kernels rely on.
func TestBytesForGPUs(t *testing.T) {
	w := make([]uint16, 18*70) // 2 block rows, 2 panels
	w[17*70+3], w[17*70+69] = 7, 8
	ti, err := CheckGPUTiles(18, 70, aligned(PackGPUTiles(w, 18, 70)))
	if want := []uint32{0, 0, 0b0001, 1<<4 | 0b0001}; err != nil || !slices.Equal(ti.Index, want) {
		t.Errorf("index %v (%v), want %v", ti.Index, err, want)
	}
	if len(ti.Values) != 512 || ti.Values[1*16+3] != 7 || ti.Values[256+1*16+5] != 8 {
		t.Error("tiles are not by outputs, then inputs")
	}
	if at := GPUTileParts(18, 70); at["index"] != 0 || at["tiles"] != 64 {
		t.Errorf("parts of tiles %v", at)
	}

	if PaddedWidth(70) != 72 || PaddedWidth(8) != 8 || PaddedWidth(0) != 0 {
		t.Error("rows are not padded to a multiple of 8")
	}

	b := PackGPUCSRGathered(w, 18, ascending(70, 100))
	c, err := CheckGPUCSR(18, 170, aligned(b))
	if err != nil || !slices.Equal(c.Columns, []int32{103, 169}) || !slices.Equal(c.Values, []uint16{7, 8}) {
		t.Errorf("gathered columns %v, values %v (%v)", c.Columns, c.Values, err)
	}
	if at := GPUCSRParts(18, len(b)); at["offsets"] != 0 || at["indices"] != 76 || at["values"] != 84 {
		t.Errorf("parts of csr %v", at)
	}

	s, err := CheckGPU24(18, 70, aligned(PackGPU24(w, 18, 70)))
	if err != nil {
		t.Fatal(err)
	}
	// Row 17 is of lanes 16 to 19, instruction 0, upper halves. Input 3 is alone
	// in group 0 of lane 16 of panel 0: positions 2 and 3. Input 69 is in group 1
	// of lane 16 of panel 1, at position 1: positions 1 and 2.
	const nothing = 0x44444444
	panel0, panel1 := s.Meta[:64], s.Meta[64:]
	if panel0[16] != nothing&^0xf0000|0b1110<<16 || panel1[16] != nothing&^0xf00000|0b1001<<20 || panel0[17] != nothing {
		t.Errorf("metadata %#x %#x %#x", panel0[16], panel1[16], panel0[17])
	}
	if s.Values[17*64+1] != 7 || s.Values[17*64+32+2] != 8 || GPU24Width(70) != 64 || len(s.Values) != 32*64 {
		t.Error("values are not by outputs, then inputs")
	}
	if at := GPU24Parts(18, 70); at["values"] != 0 || at["meta"] != 2*32*64 {
		t.Errorf("parts of 2:4 %v", at)
	}
	// Row 34 of the second strip is row 0 of its instruction 1.
	w = make([]uint16, 35*64)
	w[34*64+18], w[34*64+19] = 5, 6 // quarter 1, group 0, positions 2 and 3
	s, err = CheckGPU24(35, 64, aligned(PackGPU24(w, 35, 64)))
	if err != nil || s.Meta[64+32+1] != nothing&^0xf|0b1110 {
		t.Errorf("metadata %#x (%v)", s.Meta, err)
	}
}

func ascending(n, first int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}

func TestNegativeZerosAreNotKept(t *testing.T) {
	w := []uint16{signBit, signBit, signBit, 1}
	if ti := PackGPUTiles(w[:3], 1, 3); len(ti) != 64 {
		t.Errorf("a tile of negative zeros is kept")
	}
	if c := PackGPUCSR(w, 1, 4); len(c) != GPUCSRBytes(1, 1) {
		t.Errorf("negative zeros are kept in csr")
	}
	s, err := CheckGPU24(1, 4, aligned(PackGPU24(w, 1, 4)))
	if err != nil || !slices.Equal(s.Unpack(), []uint16{0, 0, 0, 1}) {
		t.Errorf("2:4 with negative zeros: %v (%v)", s.Unpack(), err)
	}
}

func TestForgedWeightsForGPUsAreRefused(t *testing.T) {
	const n, k = 40, 77
	w := bf16(random(n, k, 1, 1))
	padded, tiles, csr := PackPadded(w, n, k), PackGPUTiles(w, n, k), PackGPUCSR(w, n, k)
	w24 := PackGPU24(bf16(random24(n, k, 1)), n, k)
	first := func(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	minus := func(v int32) uint32 { return uint32(-v) }
	tileStart, kept := GPUTileBytes(n, k, 0), int(first(csr, 4*n))
	last := len(tiles) - 512*2 // the tile before the last: of the last block row, not past K
	meta := GPU24Parts(n, k)["meta"]
	for _, f := range []struct {
		what  string
		bytes []byte
		check func([]byte) error
		forge []forgery
	}{
		{"padded", padded, func(b []byte) error { _, err := CheckPadded(n, k, b); return err }, []forgery{
			{"last padding", len(padded) - 4, 1 << 16}, {"first padding", 2*k - 2, uint32(w[k-1]) | 1<<16},
		}},
		{"gpu tiles", tiles, func(b []byte) error { _, err := CheckGPUTiles(n, k, b); return err }, []forgery{
			{"tile past K", 4, first(tiles, 4) ^ 0b1010}, {"tile moved past K", 20, first(tiles, 20)&^0xf | 0b1000},
			{"a tile more", 0, 0xf}, {"a tile fewer", 16, first(tiles, 16) & (first(tiles, 16) - 1)},
			{"count of tiles before", 8, first(tiles, 8) + 1<<4}, {"huge count", 4, first(tiles, 4) | 1<<31}, {"first count", 0, first(tiles, 0) | 1<<4},
			{"gap", tileStart - 4, 1}, {"past K", len(tiles) - 512 + 32 - 4, 1}, {"past N", last + 8*32, 1}, {"past N at the end", len(tiles) - 4, 1 << 16},
		}},
		{"gpu csr", csr, func(b []byte) error { _, err := CheckGPUCSR(n, k, b); return err }, []forgery{
			{"first offset", 0, 1}, {"negative offset", 4, minus(1)}, {"descending offset", 8, 0}, {"offset past the end", 4, 1 << 30},
			{"more values", 4 * n, uint32(kept + 1)}, {"fewer values", 4 * n, uint32(kept - 1)}, {"negative count", 4 * n, minus(1)}, {"huge count", 4 * n, math.MaxInt32},
			{"column past K", GPUCSRBytes(n, 0) + 4*int(first(csr, 4)) - 4, k}, {"negative column", GPUCSRBytes(n, 0), minus(1)},
			{"equal columns", GPUCSRBytes(n, 0) + 4, first(csr, GPUCSRBytes(n, 0))},
		}},
		{"gpu 2:4", w24, func(b []byte) error { _, err := CheckGPU24(n, k, b); return err }, []forgery{
			{"equal positions", meta, first(w24, meta) &^ 0xf}, {"descending positions", meta, first(w24, meta)&^0xf | 0b0001},
			{"equal positions in the last row", len(w24) - 4, first(w24, len(w24)-4) | 0xf<<28},
			{"value past N", n * 2 * GPU24Width(k), 1}, {"value past K", meta - (64-n)*2*GPU24Width(k) - 4, 1 << 16},
			{"position moved past K", meta + 4*64, first(w24, meta+4*64)&^0xf000 | 0b1101<<12},
		}},
	} {
		if err := f.check(aligned(f.bytes)); err != nil {
			t.Errorf("%s: %v", f.what, err)
		}
		for _, size := range []int{0, 3, 4, len(f.bytes) - 2, len(f.bytes) + 2} {
			refused(t, f.what+": wrong size", f.check(aligned(append(slices.Clone(f.bytes), 0, 0)[:size])))
		}
		refused(t, f.what+": not aligned", f.check(aligned(append([]byte{0}, f.bytes...))[1:]))
		for _, x := range f.forge {
			b := aligned(f.bytes)
			if first(b, x.at) == x.value {
				t.Errorf("%s: %s: nothing forged", f.what, x.name)
			}
			binary.LittleEndian.PutUint32(b[x.at:], x.value)
			refused(t, f.what+": "+x.name, f.check(b))
		}
	}
}

// A tile past K is refused even where it holds only zeros: a kernel would read x there.
func TestTilesOfZerosPastTheInputsAreRefused(t *testing.T) {
	w := make([]uint16, 77)
	w[64] = 1
	b := aligned(PackGPUTiles(w, 1, 77))
	clear(b[GPUTileBytes(1, 77, 0):])
	if _, err := CheckGPUTiles(1, 77, b); err != nil {
		t.Errorf("a tile of zeros: %v", err)
	}
	b[4] = 0b1000
	_, err := CheckGPUTiles(1, 77, b)
	refused(t, "a tile past the inputs", err)
}

func TestHugeShapesForGPUsAreRefusedAtOnce(t *testing.T) {
	for _, s := range [][2]int{{math.MaxInt, math.MaxInt}, {math.MaxInt32, math.MaxInt32}, {-1, 4}, {4, -1}, {1 << 40, 0}} {
		b := make([]byte, 64)
		_, e1 := CheckPadded(s[0], s[1], b)
		_, e2 := CheckGPUTiles(s[0], s[1], b)
		_, e3 := CheckGPUCSR(s[0], s[1], b)
		_, e4 := CheckGPU24(s[0], s[1], b)
		for _, err := range []error{e1, e2, e3, e4} {
			refused(t, "huge shape", err)
		}
	}
	for _, size := range []int{PaddedBytes(1, math.MaxInt), GPUTileBytes(1<<40, 1<<40, 0), GPUTileBytes(1, 1, math.MaxInt), GPUCSRBytes(1, math.MaxInt), GPU24Bytes(1<<40, 1<<40)} {
		if size != math.MaxInt {
			t.Error("a size that does not fit is not MaxInt")
		}
	}
}

func TestPackingRefusesOtherSizes(t *testing.T) {
	for name, pack := range map[string]func(){
		"PackPadded":   func() { PackPadded(make([]uint16, 5), 2, 3) },
		"PackGPUTiles": func() { PackGPUTiles(make([]uint16, 5), 2, 3) },
		"PackGPUCSR":   func() { PackGPUCSR(make([]uint16, 5), 2, 3) },
		"PackGPU24":    func() { PackGPU24(make([]uint16, 5), 2, 3) },
		"3 of 4":       func() { PackGPU24([]uint16{1, 2, 3, 0}, 1, 4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes a matrix of another size", name)
				}
			}()
			pack()
		}()
	}
}

// FuzzCheckGPU insists that what a Check lets pass can be unpacked in bounds.
func FuzzCheckGPU(f *testing.F) {
	w := bf16(random(20, 70, 0.5, 3))
	f.Add(20, 70, PackPadded(w, 20, 70))
	f.Add(20, 70, PackGPUTiles(w, 20, 70))
	f.Add(20, 70, PackGPUCSR(w, 20, 70))
	f.Add(20, 70, PackGPU24(bf16(random24(20, 70, 3)), 20, 70))
	f.Add(1<<31-1, 0, []byte{})
	r := rand.New(rand.NewPCG(1, 1))
	for _, seed := range [][]byte{PackGPUTiles(w, 20, 70), PackGPUCSR(w, 20, 70)} {
		seed[r.IntN(64)] ^= 1 << r.IntN(8)
		f.Add(20, 70, seed)
	}
	f.Fuzz(func(t *testing.T, n, k int, b []byte) {
		b = aligned(b)
		p, e1 := CheckPadded(n, k, b)
		ti, e2 := CheckGPUTiles(n, k, b)
		c, e3 := CheckGPUCSR(n, k, b)
		s, e4 := CheckGPU24(n, k, b)
		if n > 1<<10 || k > 1<<10 || n < 0 || k < 0 {
			return
		}
		if e1 == nil {
			p.Unpack()
		}
		if e2 == nil {
			ti.Unpack()
		}
		if e3 == nil {
			c.Unpack()
		}
		if e4 == nil {
			s.Unpack()
		}
	})
}
