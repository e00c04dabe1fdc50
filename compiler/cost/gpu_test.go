package cost

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"etc/ir"
	"etc/ir/sparse"
)

var someTiles = []Tile{
	{Name: "128x128", Rows: 128, Outputs: 128, Blocks: 2, Warps: 4, Rate: 0.95},
	{Name: "64x64", Rows: 64, Outputs: 64, Blocks: 3, Warps: 4, Rate: 0.74},
	{Name: "16x64", Rows: 16, Outputs: 64, Blocks: 4, Warps: 2, Rate: 0.4},
}

// TestTileFollowsRows: small tiles where there are too few rows to give every
// multiprocessor a large one, large ones where there are many, and the time of
// more rows is never less.
func TestTileFollowsRows(t *testing.T) {
	for _, g := range cards {
		for _, nk := range [][2]int{{768, 768}, {2304, 768}, {3072, 768}, {768, 3072}} {
			if got := someTiles[g.Tile(someTiles, 64, nk[0], nk[1])]; got.Rows == 128 {
				t.Errorf("%s %v: %s for 64 rows", g.Name, nk, got.Name)
			}
			if got := someTiles[g.Tile(someTiles, 0, nk[0], nk[1])]; got.Rows != 128 {
				t.Errorf("%s %v: %s for any number of rows", g.Name, nk, got.Name)
			}
			for _, tile := range someTiles {
				last := 0.0
				for rows := 64; rows <= 16384; rows *= 2 {
					s := g.Product(tile, rows, nk[0], nk[1])
					if s < last {
						t.Errorf("%s %v %s: %d rows take %g s, half of them %g", g.Name, nk, tile.Name, rows, s, last)
					}
					last = s
				}
			}
		}
	}
}

// TestProductIsBounded: no product is predicted to be faster than tensor cores
// and memory allow.
func TestProductIsBounded(t *testing.T) {
	for _, g := range cards {
		for _, tile := range someTiles {
			for _, rows := range []int{16, 128, 4096, 16384} {
				n, k := 3072, 768
				flops := 2 * float64(rows*n) * float64(k) / g.Tensor
				bytes := 2 * float64(n*k) / g.DRAM
				if s := g.Product(tile, rows, n, k); s < math.Max(flops, bytes) {
					t.Errorf("%s %s: %d rows in %g s, the card takes %g", g.Name, tile.Name, rows, s, math.Max(flops, bytes))
				}
			}
		}
	}
}

// TestGPULinearForm: tiles only where enough of them are gone, 2:4 where it
// fits and gains on the card, and single entries never.
func TestGPULinearForm(t *testing.T) {
	const n, k = 3072, 768
	tiles := n / 16 * k / 16
	for _, g := range cards {
		halved := map[string]ir.Kind{"A100": ir.Sparse24Linear, "H200": ir.Linear}[g.Name]
		for _, c := range []struct {
			name string
			w    sparse.Matrix
			want ir.Kind
		}{
			{"half of the tiles gone", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles / 2}, ir.Linear},
			{"dense", sparse.Matrix{N: n, K: k, NonZeros: n * k, Tiles: tiles}, ir.Linear},
			{"a fifth of the tiles gone", sparse.Matrix{N: n, K: k, NonZeros: n * k * 4 / 5, Tiles: tiles * 4 / 5}, ir.Linear},
			{"nine of ten tiles gone", sparse.Matrix{N: n, K: k, NonZeros: n * k / 10, Tiles: tiles / 10}, ir.BlockSparseLinear},
			{"half of the entries", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles}, ir.Linear},
			{"2:4", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles, NM24: true}, halved},
			{"2:4 in few tiles", sparse.Matrix{N: n, K: k, NonZeros: n * k / 40, Tiles: tiles / 20, NM24: true}, ir.BlockSparseLinear},
			{"nothing", sparse.Matrix{N: n, K: k}, ir.BlockSparseLinear},
			{"little, and nothing of it", sparse.Matrix{N: 16, K: 16, NM24: true}, ir.BlockSparseLinear},
		} {
			if got := g.Linear(c.w); got != c.want {
				t.Errorf("%s, %s: %v, want %v", g.Name, c.name, got, c.want)
			}
		}
	}
}

// TestTuningOverrides the model, for its own key only.
func TestTuningOverrides(t *testing.T) {
	g := H200
	g.DType = "f16"
	a := attention(12, 64, 64)
	before, tile := g.ChooseAttention(a, 128), g.Tile(someTiles, 256, 768, 768)
	other := (tile + 1) % len(someTiles)
	g.Tuning = NewTuning()
	g.Tuning.Entries[LinearKey(90, "f16", 256, 768, 768)] = Measured{someTiles[other].Name, 3}
	g.Tuning.Entries[AttentionKey(90, "f16", a, 128)] = Measured{"flash_attention 16", 5}
	if got := g.Tile(someTiles, 256, 768, 768); got != other {
		t.Errorf("tile %d, want %d as measured", got, other)
	}
	if got := g.Tile(someTiles, 256, 768, 769); got != g.untuned().Tile(someTiles, 256, 768, 769) {
		t.Error("a measurement of another shape is used")
	}
	if got := g.ChooseAttention(a, 128); got.Variant() != "flash_attention 16" || !got.Measured || before.Kind == ir.FlashAttention || before.Measured {
		t.Errorf("%+v, before %+v: want flash_attention as measured, and otherwise not", got, before)
	}
	first := *a
	first.Rows = ir.FirstRows
	for _, other := range []*ir.AttentionAttrs{&first, {Heads: 12, D: 64, Dv: 64, Causal: true}, attention(12, 64, 32), attention(11, 64, 64)} {
		if g.ChooseAttention(other, 128).Measured {
			t.Errorf("a measurement of another attention is used for %+v", *other)
		}
	}
	if g.ChooseAttention(a, 64).Measured {
		t.Error("a measurement of another length is used")
	}
	ranked := g.RankTiles(someTiles, 256, 768, 768)
	if !ranked[0].Measured || !slices.IsSortedFunc(ranked[1:], func(x, y TileEstimate) int { return cmp.Compare(x.Seconds, y.Seconds) }) {
		t.Errorf("%+v: want the measured one, then by time", ranked)
	}
}

func (g GPU) untuned() GPU {
	g.Tuning = nil
	return g
}

// TestTuningFile: entries survive, the faster one stays, and what is no table
// is refused.
func TestTuningFile(t *testing.T) {
	a, b := NewTuning(), NewTuning()
	a.Entries["x"], a.Entries["y"] = Measured{"slow", 2}, Measured{"one", 1}
	b.Entries["x"] = Measured{"fast", 1}
	a.Merge(b)
	again, err := ParseTuning(a.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if again.Entries["x"].Use != "fast" || again.Entries["y"].Use != "one" || len(again.Entries) != 2 {
		t.Errorf("%+v", again.Entries)
	}
	for _, bad := range []string{``, `{}`, `{"schema":2,"entries":{}}`, `{"schema":1,"entries":{"x":{"use":"","us":1}}}`,
		`{"schema":1,"entries":{"x":{"use":"a","us":0}}}`, `{"schema":1,"entries":{},"more":1}`, `{"schema":1,"entries":{}} {}`, `{"schema":1,"entries":[]}`} {
		if _, err := ParseTuning([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
