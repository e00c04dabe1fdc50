package launch

import (
	"maps"
	"testing"
)

// TestLinearTiles: threads and shared memory of each tile by hand; as many
// blocks as it promises fit the 228 KiB of an H200, of which each block has
// 1 KiB to itself; and some tile of each kind fits the smallest device.
func TestLinearTiles(t *testing.T) {
	want := [][2]int{ // threads, KiB
		{256, 144}, {384, 160}, {128, 64}, {128, 48}, {128, 64}, {64, 64}, {64, 80},
	}
	names := map[string]bool{}
	for i, tile := range LinearTiles() {
		k := Make("linear", tile.Constants())
		if err := k.Check(); err != nil {
			t.Error(err)
		}
		if got := [2]int{k.Threads(), k.Shared() >> 10}; got != want[i] || k.Shared()&1023 != 0 {
			t.Errorf("%s has %d threads and %d bytes of shared memory, want %d and %d KiB", tile.Name(), k.Threads(), k.Shared(), want[i][0], want[i][1])
		}
		if tile.Blocks*(k.Shared()+1024) > 228<<10 || i > 1 && k.Shared() > SharedLimit80 {
			t.Errorf("%s: %d blocks of %d bytes do not fit", tile.Name(), tile.Blocks, k.Shared())
		}
		if names[tile.Name()] || tile.Why == "" {
			t.Errorf("%s has no name or reason of its own", tile.Name())
		}
		names[tile.Name()] = true
	}
}

// TestLinearGrid: blocks for every tile of rows and features.
func TestLinearGrid(t *testing.T) {
	k := Make("linear", LinearTiles()[3].Constants()) // 128×64
	for _, c := range []struct{ rows, n, want int }{{1, 1, 1}, {128, 64, 1}, {129, 64, 2}, {128, 65, 2}, {300, 200, 12}} {
		if got := k.Grid(Size{Rows: c.rows, N: c.n}); got != [3]int{c.want, 1, 1} {
			t.Errorf("%d rows and %d features: grid %v, want %d blocks", c.rows, c.n, got, c.want)
		}
	}
}

// TestLinearRefused: constants that no code is there for.
func TestLinearRefused(t *testing.T) {
	for name, value := range map[string]int{"BM": 64, "BK": 64, "STAGES": 3, "WM": 32, "ACT": 5, "R32": 2} {
		values := LinearTiles()[2].Constants()
		values[name] = value
		if Make("linear", values).Check() == nil {
			t.Errorf("linear with %s %d passes", name, value)
		}
	}
	for name, value := range map[string]int{"BM": 128, "TILES": 8} {
		values := NLLTile()
		values[name] = value
		if Make("linear_nll", values).Check() == nil {
			t.Errorf("linear_nll with %s %d passes", name, value)
		}
	}
}

// TestNLL: GPT-2's vocabulary in chunks of 512 words, a block for each and 64
// tokens; behind the stages 16 bytes for a row and each of 4 warps, and 8.
func TestNLL(t *testing.T) {
	k := Make("linear_nll", NLLTile())
	if err := k.Check(); err != nil {
		t.Error(err)
	}
	for vocabulary, want := range map[int]int{1: 1, 512: 1, 513: 2, 50257: 99} {
		if got := NLLChunks(k, vocabulary); got != want {
			t.Errorf("%d words are %d chunks, want %d", vocabulary, got, want)
		}
	}
	if got := k.Grid(Size{Rows: 65, N: 50257}); got != [3]int{198, 1, 1} {
		t.Errorf("grid %v, want 198 blocks", got)
	}
	if want := 4*192*64 + 64*4*16 + 64*8; k.Shared() != want || k.Threads() != 128 {
		t.Errorf("%d bytes of shared memory and %d threads, want %d and 128", k.Shared(), k.Threads(), want)
	}
	combine := Make("linear_nll_combine", nil)
	if got := combine.Grid(Size{Rows: 33}); got != [3]int{2, 1, 1} || combine.Threads() != 32 {
		t.Errorf("combine: grid %v of %d threads, want 2 of 32", got, combine.Threads())
	}
}

// TestTilesAreCopies: nobody can change the table.
func TestTilesAreCopies(t *testing.T) {
	LinearTiles()[0].BM = 1
	maps.DeleteFunc(NLLTile(), func(string, int) bool { return true })
	if LinearTiles()[0].BM != 128 || len(NLLTile()) == 0 {
		t.Error("the table of tiles has changed")
	}
}
