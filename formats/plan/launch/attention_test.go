package launch

import (
	"strings"
	"testing"
)

// TestAttentionShared: bytes counted by hand from the layout in attention.cuh:
// queries, three tiles of keys or values, scores that registers do not hold.
func TestAttentionShared(t *testing.T) {
	for _, c := range []struct {
		family string
		values map[string]int
		want   int
	}{
		{"otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "MAXS": 128}, 64*128 + 3*64*128},
		{"otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "MAXS": 256}, 64*128 + 3*64*128},
		{"otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "MAXS": 272}, 64*128 + 3*64*128 + 64*4*320},
		{"otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 16, "MAXS": 384}, 16*128 + 3*32*128 + 16*4*384},
		{"otf_attention", map[string]int{"D": 200, "DV": 200, "QB": 64, "MAXS": 64}, 64*416 + 3*32*416},
		{"otf_attention", map[string]int{"D": 200, "DV": 200, "QB": 64, "MAXS": 128}, 64*416 + 3*32*416 + 64*4*128},
		{"otf_attention", map[string]int{"D": 8, "DV": 128, "QB": 64, "MAXS": 16}, 64 * 256}, // the result
		{"flash_attention", map[string]int{"D": 24, "DV": 48, "QB": 16, "KB": 32}, 16*64 + 3*32*96},
		{"partial_otf_scores", map[string]int{"D": 40, "QB": 64, "SPLIT": 8}, 64*96 + 3*64*96},
		{"partial_otf_attention", map[string]int{"D": 64, "DV": 72, "QB": 64}, 3 * 64 * 160},
		{"vo_attention", map[string]int{"D": 64, "BN": 64, "QB": 64, "MAXS": 128}, 64*128 + 3*64*128},
		{"vo_attention", map[string]int{"D": 64, "BN": 128, "QB": 64, "MAXS": 128}, 64*128 + 3*64*256 + 64*4*128},
	} {
		k := Make(c.family, c.values)
		if err := k.Check(); err != nil {
			t.Error(err)
		}
		if got := k.Shared(); got != c.want {
			t.Errorf("%s has %d bytes of shared memory, want %d", k.Entry(), got, c.want)
		}
		if want := c.values["QB"] / 16 * 32; k.Threads() != want {
			t.Errorf("%s has %d threads, want %d", k.Entry(), k.Threads(), want)
		}
	}
}

// TestAttentionMainVariants: two blocks of heads of 64 fit in the shared memory
// of an SM of the smallest device, 100 KiB with 1 KiB of each block its own.
func TestAttentionMainVariants(t *testing.T) {
	for _, k := range []Kernel{
		Make("otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "MAXS": 256}),
		Make("otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 16, "MAXS": 384}),
		Make("flash_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "KB": 64}),
		Make("partial_otf_scores", map[string]int{"D": 64, "QB": 64, "SPLIT": 8}),
		Make("partial_otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64}),
		Make("vo_attention", map[string]int{"D": 64, "BN": 64, "QB": 64, "MAXS": 128}),
	} {
		if 2*(k.Shared()+1024) > 100<<10 {
			t.Errorf("%s has %d bytes of shared memory, two blocks do not fit", k.Entry(), k.Shared())
		}
	}
}

func TestAttentionFits(t *testing.T) {
	for _, c := range []struct {
		maxs       int
		sm80, sm90 bool
	}{{256, true, true}, {272, false, true}, {768, false, true}, {784, false, false}} {
		k := Make("otf_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "MAXS": c.maxs})
		if k.Fits(SharedLimit80) != c.sm80 || k.Fits(SharedLimit90) != c.sm90 {
			t.Errorf("MAXS %d: %d bytes, fits %v and %v", c.maxs, k.Shared(), k.Fits(SharedLimit80), k.Fits(SharedLimit90))
		}
	}
}

func TestAttentionGrid(t *testing.T) {
	size := Size{Rows: 100, Tiles: 9, Heads: 12, N: 130}
	for family, want := range map[string][3]int{
		"otf_attention": {9, 12, 1}, "flash_attention": {9, 12, 1}, "partial_otf_attention": {9, 12, 1}, "partial_otf_scores": {9, 12, 4}, "vo_attention": {9, 1, 3},
	} {
		values := map[string]int{"QB": 64}
		for _, c := range families[family].constants {
			switch c.name {
			case "SPLIT":
				values["SPLIT"] = 4
			case "BN":
				values["BN"] = 64
			}
		}
		if got := Make(family, values).Grid(size); got != want {
			t.Errorf("%s: grid %v, want %v", family, got, want)
		}
	}
}

// TestAttentionRefuses: every combination that the kernels have no code for.
func TestAttentionRefuses(t *testing.T) {
	good := map[string]map[string]int{
		"otf_attention":   {"D": 64, "DV": 64, "QB": 16, "MAXS": 64},
		"flash_attention": {"D": 64, "DV": 64, "QB": 64, "KB": 64},
		"vo_attention":    {"D": 64, "BN": 64, "QB": 64, "MAXS": 64},
	}
	for _, c := range []struct {
		family, name string
		value        int
		want         string
	}{
		{"otf_attention", "D", 20, "D is 20, want a multiple of 8"},
		{"otf_attention", "DV", 20, "DV is 20, want a multiple of 8"},
		{"otf_attention", "D", 0, "D is 0, want 8 to 256"},
		{"otf_attention", "D", 264, "D is 264, want 8 to 256"},
		{"otf_attention", "QB", 32, "QB is 32, want 16 or 64"},
		{"otf_attention", "MAXS", 40, "MAXS is 40, want a multiple of 16"},
		{"otf_attention", "MAXS", 4096, "bytes of shared memory, at most 232448"},
		{"otf_attention", "ROWS", 3, "ROWS is 3, want 0 to 2"},
		{"flash_attention", "ROWS", 1, "QB is 64, want 16 for one query a row"},
		{"flash_attention", "KB", 48, "KB is 48, want 32 or 64"},
		{"flash_attention", "DV", 136, "KB is 64, want 32 for heads wider than 128"},
		{"vo_attention", "BN", 96, "BN is 96, want 64 or 128"},
	} {
		values := map[string]int{}
		for name, v := range good[c.family] {
			values[name] = v
		}
		if err := Make(c.family, values).Check(); err != nil {
			t.Fatal(err)
		}
		values[c.name] = c.value
		if err := Make(c.family, values).Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s %d: %v, want %q", c.family, c.name, c.value, err, c.want)
		}
	}
}
