package cost

import (
	"testing"

	"etc/ir"
	"etc/ir/sparse"
)

func attention(heads, d, dv int) *ir.AttentionAttrs {
	return &ir.AttentionAttrs{Heads: heads, D: d, Dv: dv}
}

// TestAttentionGrowsWithTheRow, in time and in workspace.
func TestAttentionGrowsWithTheRow(t *testing.T) {
	for _, a := range []*ir.AttentionAttrs{attention(1, 1, 1), attention(12, 32, 32), attention(12, 64, 48), attention(4, 200, 200)} {
		before := CPU.Attention(a, 1)
		for s := 2; s < 5000; s += 1 + s/17 {
			now := CPU.Attention(a, s)
			for i, e := range now {
				if e.Seconds <= before[i].Seconds || e.Workspace < before[i].Workspace {
					t.Fatalf("%+v, %v: %+v for %d tokens, %+v for fewer", *a, e.Kind, e, s, before[i])
				}
			}
			before = now
		}
	}
}

// TestAttentionChoice: rows whose scores and keys stay in cache on the fly,
// longer ones with an online softmax, and never back.
func TestAttentionChoice(t *testing.T) {
	for _, a := range []*ir.AttentionAttrs{attention(12, 32, 32), attention(12, 64, 64), attention(4, 200, 200)} {
		changes, last := 0, ir.OTFAttention
		for s := 1; s <= 1<<14; s++ {
			e := CPU.ChooseAttention(a, s)
			for _, other := range CPU.Attention(a, s) {
				if other.Seconds < e.Seconds {
					t.Fatalf("%d tokens: %v is chosen, %v is faster", s, e.Kind, other.Kind)
				}
			}
			if e.Kind != last {
				changes, last = changes+1, e.Kind
			}
		}
		if last != ir.FlashAttention || changes != 1 {
			t.Errorf("%+v: ends with %v after %d changes, want flash_attention after one", *a, last, changes)
		}
		if e := CPU.Attention(a, 128); e[0].Seconds >= e[1].Seconds || e[0].Seconds >= e[2].Seconds {
			t.Errorf("%+v: %+v for 128 tokens, want otf_attention fastest", *a, e)
		}
	}
}

// TestPrecomputePays at the break-evens of notes/et-paper.md 1.9: against the
// factored form with the same kept outputs, N'/E = 1/(H - E/(E+S)).
func TestPrecomputePays(t *testing.T) {
	for _, c := range []struct {
		width, heads, s int
		share           float64
	}{{768, 12, 128, 0.090}, {800, 4, 128, 0.319}, {1024, 16, 128, 1 / (16 - 1024.0/1152)},
		{768, 12, 384, 1 / (12 - 768.0/1152)}, {768, 12, 512, 1 / (12 - 768.0/1280)}, {512, 2, 128, 1 / (2 - 512.0/640)}} {
		a := attention(c.heads, c.width/c.heads, c.width/c.heads)
		even := c.share * float64(c.width)
		if n := int(even * 0.99); !PrecomputePays(a, c.width, n, c.s) {
			t.Errorf("%d/%d: %d outputs do not pay, break-even is %.1f", c.width, c.heads, n, even)
		}
		if n := int(even*1.01) + 1; PrecomputePays(a, c.width, n, c.s) {
			t.Errorf("%d/%d: %d outputs pay, break-even is %.1f", c.width, c.heads, n, even)
		}
		if PrecomputePays(a, c.width, c.width, c.s) {
			t.Errorf("%d/%d: pays dense", c.width, c.heads)
		}
	}
	if !PrecomputePays(attention(1, 64, 512), 512, 512, 32) {
		t.Error("one head: W_V·W_O saves a product and does not pay")
	}
}

// TestLinearForm: the form follows from the zeros alone, each where the
// constants put it.
func TestLinearForm(t *testing.T) {
	const n, k = 384, 384
	tiles := n / sparse.Tile * k / sparse.Tile
	for _, c := range []struct {
		name string
		w    sparse.Matrix
		want ir.Kind
	}{
		{"dense", sparse.Matrix{N: n, K: k, NonZeros: n * k, Tiles: tiles}, ir.Linear},
		{"a tile less", sparse.Matrix{N: n, K: k, NonZeros: n*k - 256, Tiles: tiles - 1}, ir.Linear},
		{"30 % fewer tiles", sparse.Matrix{N: n, K: k, NonZeros: n * k * 7 / 10, Tiles: tiles * 7 / 10}, ir.BlockSparseLinear},
		{"10 % fewer entries", sparse.Matrix{N: n, K: k, NonZeros: n * k * 9 / 10, Tiles: tiles}, ir.Linear},
		{"30 % fewer entries", sparse.Matrix{N: n, K: k, NonZeros: n * k * 7 / 10, Tiles: tiles}, ir.CSRLinear},
		{"half of the entries", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles}, ir.CSRLinear},
		{"2:4", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles, NM24: true}, ir.Sparse24Linear},
		{"2:4 within half of the tiles", sparse.Matrix{N: n, K: k, NonZeros: n * k / 4, Tiles: tiles / 2, NM24: true}, ir.Sparse24Linear},
		{"whole tiles, some 2:4", sparse.Matrix{N: n, K: k, NonZeros: n * k / 2, Tiles: tiles / 2, NM24: true}, ir.BlockSparseLinear},
		{"few entries in many tiles", sparse.Matrix{N: n, K: k, NonZeros: n * k / 50, Tiles: tiles / 2}, ir.CSRLinear},
		{"small and odd", sparse.Matrix{N: 7, K: 5, NonZeros: 35, Tiles: 1}, ir.Linear},
		{"two columns", sparse.Matrix{N: 48, K: 2, NonZeros: 96, Tiles: 3, NM24: true}, ir.Linear},
		{"all zero", sparse.Matrix{N: n, K: k, NM24: true}, ir.BlockSparseLinear},
	} {
		if got := CPU.Linear(c.w); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestIntegersAreDenseOrTiles: there is no product of single entries in integers.
func TestIntegersAreDenseOrTiles(t *testing.T) {
	for _, m := range []Machine{CPUInt16, CPUInt8} {
		for tiles := 0; tiles <= 16; tiles++ {
			for _, entries := range []int{0, 10, tiles * 100} {
				w := sparse.Matrix{N: 64, K: 64, Tiles: tiles, NonZeros: entries, NM24: true}
				want := ir.Linear
				if float64(tiles)/m.TileFlops < 16/m.DenseFlops {
					want = ir.BlockSparseLinear
				}
				if got := m.Linear(w); got != want {
					t.Errorf("%s: %d of 16 tiles, %d entries: %v, want %v", m.Target, tiles, entries, got, want)
				}
			}
		}
	}
}
