package cost

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"etc/formats/plan/launch"
	"etc/ir"
)

// attentionKinds are the operators that compute the same attention.
var attentionKinds = []ir.Kind{ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention}

// queryBlocks are the blocks of queries that attention kernels have.
var queryBlocks = []int{64, 16}

// Candidates estimates every attention operator with every block of queries,
// for as many rows of s tokens as keep the card busy, in seconds for one row.
// Those that need more shared memory than a block may have are among them;
// Fits tells.
//
// otf reads keys and values once for each block of queries and holds a whole
// row of scores; partial writes scores and reads them again; flash rescales
// its sums for each block of keys.
func (g GPU) Candidates(a *ir.AttentionAttrs, s int) []Estimate {
	var all []Estimate
	for _, kind := range attentionKinds {
		for _, queries := range queryBlocks {
			if a.Rows != ir.AllRows && queries != oneQueryBlock {
				continue
			}
			e := Estimate{Kind: kind, Queries: queries}
			for _, k := range g.AttentionKernels(a, false, e, s) {
				e.Shared = max(e.Shared, k.Shared())
			}
			if kind == ir.PartialOTFAttention {
				e.Workspace = int64(4 * a.Heads * s)
			}
			e.Seconds = g.attentionTime(a, &e, s)
			all = append(all, e)
		}
	}
	return all
}

// oneQueryBlock is the block of queries of kernels with one query a row.
const oneQueryBlock = 16

// attentionTime predicts e for a row of s tokens, all of whose queries see all
// keys but in causal attention, where they see half.
func (g GPU) attentionTime(a *ir.AttentionAttrs, e *Estimate, s int) float64 {
	heads, n, d, dv := float64(a.Heads), float64(s), float64(a.D), float64(a.Dv)
	queries, block := n, float64(e.Queries)
	if a.Rows != ir.AllRows {
		queries = 1
	}
	blocks := math.Ceil(queries/block) * heads
	keys := n
	if a.Causal && a.Rows == ir.AllRows {
		keys = math.Min(n, (n+block)/2)
	}
	padded := math.Ceil(keys/16) * 16
	products := blocks * block * 2 * padded * (d + dv) / (g.Tensor / 3) // softmax between products keeps tensor cores waiting
	softmax := heads * queries * keys / g.Exps
	reads := blocks * 2 * keys * (d + dv) / g.L2
	scores := heads * queries * keys * 4 / g.DRAM
	crowding := g.crowding(e)
	switch e.Kind {
	case ir.PartialOTFAttention:
		return (products+softmax+2*scores+reads/2)*crowding + g.Launch
	case ir.FlashAttention:
		softmax *= 1.15
	}
	return (products + softmax + reads) * crowding
}

// PredictAttention predicts e for a batch of rows rows of s tokens, whose
// blocks may be too few for the card, or leave a last round of few.
func (g GPU) PredictAttention(a *ir.AttentionAttrs, e Estimate, s, rows int) Prediction {
	queries := s
	if a.Rows != ir.AllRows {
		queries = 1
	}
	blocks := math.Ceil(float64(queries)/float64(e.Queries)) * float64(a.Heads*rows)
	rounds := math.Ceil(blocks / float64(g.Multiprocessor))
	heads, n := float64(a.Heads*rows), float64(s)
	p := Prediction{
		Flops: 2 * heads * float64(queries) * n * float64(a.D+a.Dv),
		Bytes: 2 * heads * (n*float64(a.D+a.Dv) + float64(queries)*float64(a.D+a.Dv)),
	}
	return g.bound(p, limit{"tensor cores and softmax", e.Seconds * float64(rows) * rounds * float64(g.Multiprocessor) / blocks})
}

// crowding is how much longer an operator takes whose blocks leave room for
// few warps beside them: eight keep a multiprocessor busy.
func (g GPU) crowding(e *Estimate) float64 {
	switch warps := g.blocks(e.Shared) * e.Queries / 16; {
	case warps >= 8:
		return 1
	case warps >= 4:
		return 1.3
	}
	return 1.7
}

// Fits reports whether a block may have the shared memory that e needs.
func (g GPU) Fits(e Estimate) bool { return e.Shared <= g.MostShared }

// Attention is Candidates, but for those that do not fit.
func (g GPU) Attention(a *ir.AttentionAttrs, s int) []Estimate {
	return slices.DeleteFunc(g.Candidates(a, s), func(e Estimate) bool { return !g.Fits(e) })
}

// RankAttention is Attention, the best first: the one that was measured as
// best, then by time, the first among equals.
func (g GPU) RankAttention(a *ir.AttentionAttrs, s int) []Estimate {
	all := g.Attention(a, s)
	use := g.Tuning.measured(AttentionKey(g.SM, g.DType, a, s))
	for i := range all {
		all[i].Measured = all[i].Variant() == use
	}
	slices.SortStableFunc(all, func(x, y Estimate) int {
		if x.Measured != y.Measured {
			return before(x.Measured)
		}
		return cmp.Compare(x.Seconds, y.Seconds)
	})
	return all
}

// ChooseAttention is the best of RankAttention.
func (g GPU) ChooseAttention(a *ir.AttentionAttrs, s int) Estimate { return g.RankAttention(a, s)[0] }

// AttentionKernels are the kernels of an attention operator over rows of up to
// s tokens, in the order in which they run; bias says whether it adds a table
// to the scores.
func (g GPU) AttentionKernels(a *ir.AttentionAttrs, bias bool, e Estimate, s int) []launch.Kernel {
	common := map[string]int{"DTYPE": g.dtype(), "D": a.D, "QB": e.Queries, "ROWS": int(a.Rows), "CAUSAL": flag(a.Causal)}
	scores := maps.Clone(common)
	common["DV"], common["BIAS"] = a.Dv, flag(bias)
	switch e.Kind {
	case ir.OTFAttention:
		common["MAXS"] = (s + 15) / 16 * 16
		return []launch.Kernel{launch.Make("otf_attention", common)}
	case ir.FlashAttention:
		common["KB"] = 64
		if max(a.D, a.Dv) > 128 {
			common["KB"] = 32
		}
		return []launch.Kernel{launch.Make("flash_attention", common)}
	case ir.PartialOTFAttention:
		scores["SPLIT"] = min(64, (s+127)/128)
		return []launch.Kernel{launch.Make("partial_otf_scores", scores), launch.Make("partial_otf_attention", common)}
	}
	panic(fmt.Sprintf("bug: cost: no attention kernels of %v", e.Kind))
}

// dtype is the storage type as kernels have it.
func (g GPU) dtype() int {
	if g.DType == "bf16" {
		return launch.BF16
	}
	return launch.F16
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
