package layout

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"etc/fault"
)

// aligned copies b to where elements of any size may lie.
func aligned(b []byte) []byte {
	u := make([]uint64, len(b)/8+1)
	out := unsafe.Slice((*byte)(unsafe.Pointer(&u[0])), len(b))
	copy(out, b)
	return out
}

// random is a [n,k] matrix with about the given share of values kept, and one
// whole tile in three zero.
func random(n, k int, keep float64, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float32, n*k)
	for i := range w {
		row, col := i/k/Width, i%k/Width
		if (row+2*col)%3 != 0 && r.Float64() < keep {
			w[i] = r.Float32() + 0.5
		}
	}
	return w
}

// random24 keeps at most 2 of 4.
func random24(n, k int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	w := make([]float32, n*k)
	for i := range n {
		for g := 0; g < k; g += 4 {
			for range r.IntN(3) {
				w[i*k+min(k-1, g+r.IntN(4))] = r.Float32() + 0.5
			}
		}
	}
	return w
}

var shapes = [][2]int{{1, 1}, {2, 3}, {16, 16}, {17, 15}, {15, 17}, {33, 31}, {48, 5}, {5, 48}, {64, 37}, {1, 100}, {100, 1}, {3, 63}, {18, 64}, {2, 65}, {35, 128}, {17, 130}, {16, 0}, {0, 16}}

func TestPackingKeepsTheMatrix(t *testing.T) {
	for i, s := range shapes {
		n, k := s[0], s[1]
		for _, keep := range []float64{0, 0.3, 1} {
			w := random(n, k, keep, uint64(i))
			b := make([]byte, PanelBytes(n, k))
			PackPanels(b, w, n, k)
			p, err := CheckPanels(n, k, aligned(b))
			same(t, "panels", n, k, w, p.Unpack, err)
			ti, err := CheckTiles(n, k, aligned(PackTiles(w, n, k)))
			same(t, "tiles", n, k, w, ti.Unpack, err)
			if len(ti.Columns) != CountTiles(w, n, k) {
				t.Errorf("tiles [%d %d]: %d tiles, want %d", n, k, len(ti.Columns), CountTiles(w, n, k))
			}
			c, err := CheckCSR(n, k, aligned(PackCSR(w, n, k)))
			same(t, "csr", n, k, w, c.Unpack, err)
			for _, typ := range []Int{Int8, Int16} {
				checkIntegers(t, typ, w, n, k)
			}
		}
		w := random24(n, k, uint64(i))
		s, err := CheckSparse24(n, k, aligned(PackSparse24(w, n, k)))
		same(t, "2:4", n, k, w, s.Unpack, err)
		if err == nil {
			want, _ := CheckCSR(n, k, aligned(PackCSR(w, n, k)))
			if c := s.Expand(); !slices.Equal(c.Masks, want.Masks) || !slices.Equal(c.Starts, want.Starts) || !slices.Equal(c.Values, want.Values) {
				t.Errorf("2:4 [%d %d]: Expand differs from CSR of the same matrix", n, k)
			}
		}
	}
}

func same(t *testing.T, what string, n, k int, want []float32, unpack func() []float32, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s [%d %d]: %v", what, n, k, err)
		return
	}
	if got := unpack(); !slices.Equal(got, want) {
		t.Errorf("%s [%d %d]: unpacked matrix differs", what, n, k)
	}
}

func TestIsSparse24(t *testing.T) {
	for _, c := range []struct {
		w    []float32
		want bool
	}{{[]float32{1, 0, 2, 0}, true}, {[]float32{1, 1, 1, 0}, false}, {[]float32{0, 0, 1, 1, 1, 1}, true}, {[]float32{0, 1, 0, 1, 1, 1, 1}, false}} {
		if got := IsSparse24(c.w, 1, len(c.w)); got != c.want {
			t.Errorf("IsSparse24(%v) = %v", c.w, got)
		}
	}
}

// A forgery changes one number of a good weight.
type forgery struct {
	name  string
	at    int // byte offset, a multiple of 4
	value uint32
}

func TestForgedWeightsAreRefused(t *testing.T) {
	const n, k = 40, 37
	w := random(n, k, 1, 1)
	tiles := PackTiles(w, n, k)
	csr := PackCSR(w, n, k)
	panels := make([]byte, PanelBytes(n, k))
	PackPanels(panels, w, n, k)
	w24 := PackSparse24(random24(n, k, 1), n, k)
	odd24 := PackSparse24(random24(8, 33, 1), 8, 33) // 9 groups: half a byte of padding, 8·5 bytes of positions
	minus := func(v int32) uint32 { return uint32(-v) }
	first := func(b []byte, offset int) uint32 { return binary.LittleEndian.Uint32(b[offset:]) }
	lowestBit := func(v uint32) uint32 { return v & -v }
	moved := func(v uint32, bit int) uint32 { return v&(v-1) | 1<<bit } // as many values as before
	tileCols := 4 * (Blocks(n) + 1)
	tileCount := int(first(tiles, 4*Blocks(n)))
	for _, f := range []struct {
		what  string
		bytes []byte
		check func([]byte) error
		forge []forgery
	}{
		{"tiles", tiles, func(b []byte) error { _, err := CheckTiles(n, k, b); return err }, []forgery{
			{"first offset", 0, 1}, {"negative offset", 4, minus(1)}, {"descending offset", 8, 0}, {"offset past the end", 4, 1 << 30},
			{"more tiles", 4 * Blocks(n), uint32(tileCount + 1)}, {"negative count", 4 * Blocks(n), minus(3)}, {"huge count", 4 * Blocks(n), math.MaxInt32},
			{"column past K", tileCols + 4*int(first(tiles, 4)) - 4, uint32(Blocks(k))}, {"negative column", tileCols, minus(1)},
			{"equal columns", tileCols + 4, first(tiles, tileCols)}, {"gap", tileCols + 4*tileCount, 1},
		}},
		{"csr", csr, func(b []byte) error { _, err := CheckCSR(n, k, b); return err }, []forgery{
			{"a value more", 0, first(csr, 0) ^ lowestBit(^first(csr, 0))}, {"a value fewer", 0, first(csr, 0) ^ lowestBit(first(csr, 0))},
			{"a row emptied", 8*n - 8, 0}, {"first column past K", 4, moved(first(csr, 4), k-32)}, {"last column past K", 8*17 + 4, moved(first(csr, 8*17+4), 31)},
		}},
		{"panels", panels, func(b []byte) error { _, err := CheckPanels(n, k, b); return err }, []forgery{
			{"padding", len(panels) - 4, 1}, {"first padding", PanelBytes(32, k) + 4*(n%Width), 1 << 31},
		}},
		{"int8 panels", PackIntPanels(Int8, w, n, k), func(b []byte) error { _, err := CheckIntPanels(Int8, n, k, b); return err }, []forgery{
			{"unit NaN", 0, math.Float32bits(float32(math.NaN()))}, {"unit infinite", 4, math.Float32bits(float32(math.Inf(1)))},
			{"unit negative", 8, 1 << 31}, {"unit past N", 4 * n, 1},
			{"input past K", 4*48 + 64*Int8.Steps(k) - 4, 1 << 24}, {"feature past N", IntPanelBytes(Int8, 32, k) + 64 + 4*(n%Width), 1},
		}},
		{"int16 panels", PackIntPanels(Int16, w, n, k), func(b []byte) error { _, err := CheckIntPanels(Int16, n, k, b); return err }, []forgery{
			{"input past K", 4*48 + 64*Int16.Steps(k) - 4, 1 << 31}, {"feature past N", IntPanelBytes(Int16, 48, k) - 4, 1},
		}},
		{"int8 tiles", PackIntTiles(Int8, w, n, k), func(b []byte) error { _, err := CheckIntTiles(Int8, n, k, b); return err }, []forgery{
			{"first offset", 0, 1}, {"more tiles", 4 * Blocks(n), uint32(tileCount + 1)}, {"column past K", tileCols + 4*int(first(tiles, 4)) - 4, uint32(Blocks(k))},
			{"gap", tileCols + 4*tileCount, 1}, {"unit NaN", tileIndexBytes(n, tileCount), math.Float32bits(float32(math.NaN()))},
			{"unit past N", tileIndexBytes(n, tileCount) + 4*n, 1},
			{"feature past N", IntTileBytes(Int8, n, tileCount) - 4, 1}, {"input past K", IntTileBytes(Int8, n, int(first(tiles, 4))) - (tileIndexBytes(n, int(first(tiles, 4))) - tileIndexBytes(n, tileCount)) - 128, 1},
		}},
		{"int16 tiles", PackIntTiles(Int16, w, n, k), func(b []byte) error { _, err := CheckIntTiles(Int16, n, k, b); return err }, []forgery{
			{"column past K", tileCols + 4*int(first(tiles, 4)) - 4, uint32(Blocks(k))}, {"feature past N", IntTileBytes(Int16, n, tileCount) - 4, 1},
		}},
		{"2:4", w24, func(b []byte) error { _, err := CheckSparse24(n, k, b); return err }, []forgery{
			{"equal positions", len(w24) - 4, 0}, {"value past K", 4*groupKept*groups(k) - 4, math.Float32bits(1)},
		}},
		{"2:4, 9 groups", odd24, func(b []byte) error { _, err := CheckSparse24(8, 33, b); return err }, []forgery{
			{"padding", len(odd24) - 4, first(odd24, len(odd24)-4) | 1<<31},
		}},
	} {
		if err := f.check(aligned(f.bytes)); err != nil {
			t.Errorf("%s: %v", f.what, err)
		}
		for _, size := range []int{0, 3, 4, len(f.bytes) - 4, len(f.bytes) + 4} {
			refused(t, f.what+": wrong size", f.check(aligned(append(slices.Clone(f.bytes), 0, 0, 0, 0)[:size])))
		}
		refused(t, f.what+": not aligned", f.check(aligned(append([]byte{0}, f.bytes...))[1:]))
		for _, x := range f.forge {
			b := aligned(f.bytes)
			binary.LittleEndian.PutUint32(b[x.at:], x.value)
			refused(t, f.what+": "+x.name, f.check(b))
		}
	}
}

func TestMasksThatAreNotAlignedAreRefused(t *testing.T) {
	b := aligned(append(make([]byte, 4), PackCSR(random(3, 5, 1, 1), 3, 5)...))[4:]
	_, err := CheckCSR(3, 5, b)
	refused(t, "csr: aligned to 4 bytes", err)
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Corrupt {
		t.Errorf("%s: error %v, want one of kind Corrupt", what, err)
	}
}

func TestHugeShapesAreRefusedAtOnce(t *testing.T) {
	for _, s := range [][2]int{{math.MaxInt, math.MaxInt}, {math.MaxInt32, math.MaxInt32}, {-1, 4}, {4, -1}, {1 << 40, 0}} {
		b := make([]byte, 64)
		_, e1 := CheckPanels(s[0], s[1], b)
		_, e2 := CheckTiles(s[0], s[1], b)
		_, e3 := CheckCSR(s[0], s[1], b)
		_, e4 := CheckSparse24(s[0], s[1], b)
		_, e5 := CheckIntPanels(Int16, s[0], s[1], b)
		_, e6 := CheckIntTiles(Int16, s[0], s[1], b)
		for _, err := range []error{e1, e2, e3, e4, e5, e6} {
			refused(t, "huge shape", err)
		}
	}
	if PanelBytes(math.MaxInt32, math.MaxInt32) != math.MaxInt || Sparse24Bytes(math.MaxInt, math.MaxInt) != math.MaxInt {
		t.Error("a size that does not fit is not MaxInt")
	}
}

// FuzzCheck insists that what a Check lets pass can be unpacked in bounds.
func FuzzCheck(f *testing.F) {
	w := random(20, 19, 0.5, 3)
	f.Add(20, 19, PackTiles(w, 20, 19))
	f.Add(20, 19, PackCSR(w, 20, 19))
	f.Add(20, 19, PackSparse24(random24(20, 19, 3), 20, 19))
	f.Add(20, 19, PackIntPanels(Int8, w, 20, 19))
	f.Add(20, 19, PackIntTiles(Int16, w, 20, 19))
	f.Add(1<<31-1, 0, []byte{})
	f.Fuzz(func(t *testing.T, n, k int, b []byte) {
		b = aligned(b)
		p, e1 := CheckPanels(n, k, b)
		ti, e2 := CheckTiles(n, k, b)
		c, e3 := CheckCSR(n, k, b)
		s, e4 := CheckSparse24(n, k, b)
		for _, typ := range []Int{Int8, Int16} {
			if p, err := CheckIntPanels(typ, n, k, b); err == nil && n <= 1<<10 && k <= 1<<10 {
				p.Unpack()
			}
			if ti, err := CheckIntTiles(typ, n, k, b); err == nil && n <= 1<<10 && k <= 1<<10 {
				ti.Unpack()
			}
		}
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
