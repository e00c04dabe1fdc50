package launch

import "fmt"

// SharedLimit80 and SharedLimit90 are the bytes of dynamic shared memory that a
// block may have on the devices that code for sm_80 and sm_90 runs on.
const (
	SharedLimit80 = 99 << 10 // that of 8.6 and 8.9, which run code for sm_80
	SharedLimit90 = 227 << 10
)

// attentionFamilies are the attention operators. QB is the queries of a block,
// ROWS the queries of a row: 0 all, 1 the first, 2 the last.
var attentionFamilies = map[string]*family{
	"otf_attention": {
		constants: attentionConstants(constant{"MAXS", 16, 4096}),
		params:    parseParams("batch* qkv* q* offsets* tiles* bias* y* heads ldqkv ldq ldy S scale.f bias_scale.f"),
		threads:   queryThreads,
		shared:    func(k Kernel) int { return attentionShared(k, true, scoresOf(k, k.Value("DV"))) },
		grid:      queryGrid,
		check:     checkAttention,
	},
	"flash_attention": {
		constants: attentionConstants(constant{"KB", 32, 64}),
		params:    parseParams("batch* qkv* q* offsets* tiles* bias* y* heads ldqkv ldq ldy S scale.f bias_scale.f"),
		threads:   queryThreads,
		shared:    func(k Kernel) int { return attentionShared(k, true, 0) },
		grid:      queryGrid,
		check:     checkAttention,
	},
	"partial_otf_scores": {
		constants: []constant{{"CAUSAL", 0, 1}, {"D", 8, 256}, {"DTYPE", F16, BF16}, {"QB", 16, 64}, {"ROWS", 0, 2}, {"SPLIT", 1, 64}},
		params:    parseParams("batch* qkv* q* offsets* tiles* scores* heads ldqkv ldq lds scale.f"),
		threads:   queryThreads,
		shared:    func(k Kernel) int { return attentionShared(k, true, 0) },
		grid:      func(k Kernel, s Size) [3]int { return [3]int{s.Tiles, s.Heads, k.Value("SPLIT")} },
		check:     checkAttention,
	},
	"partial_otf_attention": {
		constants: attentionConstants(),
		params:    parseParams("batch* qkv* scores* offsets* tiles* bias* y* heads ldqkv ldy lds S bias_scale.f"),
		threads:   queryThreads,
		shared:    func(k Kernel) int { return attentionShared(k, false, 0) },
		grid:      queryGrid,
		check:     checkAttention,
	},
	"vo_attention": {
		constants: []constant{{"BN", 64, 128}, {"CAUSAL", 0, 1}, {"D", 8, 256}, {"DTYPE", F16, BF16}, {"MAXS", 16, 4096}, {"OUT32", 0, 1}, {"QB", 16, 64}},
		params:    parseParams("batch* qk* vo* offsets* tiles* b* y* heads N ldqk ldvo ldy scale.f"),
		threads:   queryThreads,
		shared:    func(k Kernel) int { return attentionShared(k, true, scoresOf(k, 2*k.Value("BN"))) },
		grid:      func(k Kernel, s Size) [3]int { return [3]int{s.Tiles, 1, ceil(s.N, k.Value("BN"))} },
		check:     checkAttention,
	},
}

// attentionConstants are those of an operator over qkv, and one of its own.
func attentionConstants(own ...constant) []constant {
	return append([]constant{{"BIAS", 0, 1}, {"CAUSAL", 0, 1}, {"D", 8, 256}, {"DTYPE", F16, BF16}, {"DV", 8, 256}, {"QB", 16, 64}, {"ROWS", 0, 2}}, own...)
}

// Fits reports whether k is in the table and its blocks need no more than
// limit bytes of shared memory. An attention operator that keeps whole rows of
// scores fits only up to some length.
func (k Kernel) Fits(limit int) bool { return k.Check() == nil && k.Shared() <= limit }

func queryThreads(k Kernel) int { return 2 * k.Value("QB") } // a warp for 16 queries

func queryGrid(_ Kernel, s Size) [3]int { return [3]int{s.Tiles, s.Heads, 1} }

// What follows is the layout of shared memory in attention.cuh and whole_row.cuh, by the names
// it has there.

// stages is how many tiles of keys or values are in shared memory.
const stages = 3

// rowBytes is the size of a row of a tile: chunks of 16 bytes, an even number.
func rowBytes(width int) int { return ceil(width, 16) * 32 }

func widest(k Kernel) int { return max(k.Value("D"), k.Value("DV"), k.Value("BN")) }

// keysOf is the number of keys in a tile.
func keysOf(k Kernel) int {
	if kb := k.Value("KB"); kb > 0 {
		return kb
	}
	most := 64
	if widest(k) > 128 || k.Value("MAXS") > 0 && k.Value("QB") == 16 {
		most = 32
	}
	if maxs := k.Value("MAXS"); maxs > 0 {
		return min(most, maxs)
	}
	return most
}

// attentionShared is queries, unless the kernel reads none, the tiles, and that
// many scores a query. The result passes through the same memory at the end.
func attentionShared(k Kernel, queries bool, scores int) int {
	bytes := stages*keysOf(k)*rowBytes(widest(k)) + k.Value("QB")*4*scores
	if queries {
		bytes += k.Value("QB") * rowBytes(k.Value("D"))
	}
	return max(bytes, k.Value("QB")*rowBytes(max(k.Value("DV"), k.Value("BN"))))
}

// scoresOf is the scores of a query that are kept in shared memory: those of
// whole rows that do not fit in registers beside so many sums of values.
func scoresOf(k Kernel, sums int) int {
	row := ceil(k.Value("MAXS"), keysOf(k)) * keysOf(k)
	if row+sums <= 320 {
		return 0
	}
	return row
}

// checkAttention refuses widths that are not loaded in whole chunks, and block
// sizes that lie between those that the kernels have code for.
func checkAttention(k Kernel) error {
	fail := func(name, want string) error {
		return fmt.Errorf("kernel of %s: %s is %d, want %s", k.Family, name, k.Value(name), want)
	}
	switch qb := k.Value("QB"); {
	case k.Value("D")%8 != 0:
		return fail("D", "a multiple of 8")
	case k.Value("DV")%8 != 0:
		return fail("DV", "a multiple of 8")
	case qb != 16 && qb != 64:
		return fail("QB", "16 or 64")
	case k.Value("ROWS") != 0 && qb != 16:
		return fail("QB", "16 for one query a row")
	case k.Value("MAXS")%16 != 0:
		return fail("MAXS", "a multiple of 16")
	case k.Value("KB") != 0 && k.Value("KB") != 32 && k.Value("KB") != 64:
		return fail("KB", "32 or 64")
	case k.Value("KB") == 64 && widest(k) > 128:
		return fail("KB", "32 for heads wider than 128")
	case k.Value("BN") != 0 && k.Value("BN") != 64 && k.Value("BN") != 128:
		return fail("BN", "64 or 128")
	case k.Shared() > SharedLimit90:
		return fmt.Errorf("kernel of %s: %d bytes of shared memory, at most %d are there", k.Family, k.Shared(), SharedLimit90)
	}
	return nil
}
