package layout

import (
	"math"
	"slices"
	"testing"
)

// checkIntegers packs w both ways and holds what lies there against Quantise.
func checkIntegers(t *testing.T, typ Int, w []float32, n, k int) {
	t.Helper()
	want, units := make([]int16, n*k), make([]float32, n)
	for i := range n {
		units[i] = typ.Quantise(want[i*k:(i+1)*k], w[i*k:(i+1)*k])
	}
	p, err := CheckIntPanels(typ, n, k, aligned(PackIntPanels(typ, w, n, k)))
	if err != nil {
		t.Errorf("int%d panels [%d %d]: %v", 8*typ, n, k, err)
	} else if !slices.Equal(p.Unpack(), want) || !slices.Equal(p.Units[:n], units) {
		t.Errorf("int%d panels [%d %d]: unpacked matrix differs", 8*typ, n, k)
	}
	ti, err := CheckIntTiles(typ, n, k, aligned(PackIntTiles(typ, w, n, k)))
	if err != nil {
		t.Errorf("int%d tiles [%d %d]: %v", 8*typ, n, k, err)
	} else if !slices.Equal(ti.Unpack(), want) || !slices.Equal(ti.Units[:n], units) || len(ti.Columns) != CountTiles(w, n, k) {
		t.Errorf("int%d tiles [%d %d]: unpacked matrix differs", 8*typ, n, k)
	}
}

// TestQuantiseByHand: rows worked out on paper.
func TestQuantiseByHand(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		typ  Int
		x    []float32
		q    []int16
		unit float32
	}{
		{Int8, []float32{1, -127, 0.5, 1.5, -2.5, 126.5}, []int16{1, -127, 0, 2, -2, 126}, 1}, // ties to even
		{Int8, []float32{254, -1, 1, 3}, []int16{127, 0, 0, 2}, 2},
		{Int8, []float32{0, 0}, []int16{0, 0}, 0},
		{Int8, []float32{0x1p-101, 0}, []int16{0, 0}, 0},
		{Int8, []float32{0x1p-100, 0}, []int16{127, 0}, 0x1p-100 / 127},
		{Int8, []float32{math.MaxFloat32, 0}, []int16{127, 0}, math.MaxFloat32 / 127},
		{Int8, []float32{1, inf}, []int16{0, 0}, nan},
		{Int8, []float32{nan, 1}, []int16{0, 0}, nan},
		{Int16, []float32{3, 4}, []int16{19620, 26160}, 5.0 / 32700},
		{Int16, []float32{0, -7}, []int16{0, -32700}, 7.0 / 32700},
		{Int16, []float32{0x1p-101, 0}, []int16{0, 0}, 0},
		{Int16, []float32{math.MaxFloat32, math.MaxFloat32}, []int16{23122, 23122}, float32(math.MaxFloat32 * math.Sqrt2 / 32700)},
		{Int16, []float32{1, -inf}, []int16{0, 0}, nan},
		{Int16, []float32{nan, 1}, []int16{0, 0}, nan},
		{Int16, nil, []int16{}, 0},
	} {
		q := make([]int16, len(c.x))
		unit := c.typ.Quantise(q, c.x)
		if !slices.Equal(q, c.q) || unit != c.unit && !(unit != unit && c.unit != c.unit) {
			t.Errorf("int%d %v: %v, unit %v, want %v, %v", 8*c.typ, c.x, q, unit, c.q, c.unit)
		}
	}
}

// TestMostInputs of int8: no more than a sum holds.
func TestMostInputs(t *testing.T) {
	if most := Most8Inputs * 127 * 127; most > math.MaxInt32 {
		t.Errorf("a sum of %d inputs may be %d", Most8Inputs, most)
	}
	_, err := CheckIntPanels(Int8, 0, Most8Inputs+1, nil)
	refused(t, "too many inputs of int8", err)
	if _, err := CheckIntPanels(Int16, 0, Most8Inputs+1, nil); err != nil {
		t.Error(err)
	}
	_, err = CheckIntPanels(Int(4), 1, 1, make([]byte, 1<<10))
	refused(t, "integers of four bytes", err)
}
