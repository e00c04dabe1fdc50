package cost

import (
	"cmp"
	"math"
	"slices"

	"etc/ir"
	"etc/ir/sparse"
)

// A GPU is what the model knows of a card: figures of its data sheet, and how
// much of them kernels of this kind reach. All of them only rank operators and
// tiles; nothing is promised by them.
type GPU struct {
	Name           string
	SM             int     // compute capability ten times over
	Multiprocessor int     // how many there are
	Tensor         float64 // f16 operations a second by mma.sync, two for each multiply-add
	Sparse         float64 // how much faster mma.sp is, at equal shapes
	DRAM, L2       float64 // bytes a second
	Exps           float64 // ex2 a second
	Shared         int     // bytes of shared memory of a multiprocessor
	MostShared     int     // that a block may have in our kernels for this SM
	Launch         float64 // seconds from one kernel of a graph to the next

	DType  string  // storage type of the target, for keys of Tuning
	Tuning *Tuning // what was measured; nil: nothing
}

// The cards that targets stand for. Tensor of the H200 is what mma.sync
// reaches of its 989 TFLOP/s: about 62 % (its full rate takes wgmma).
var (
	A100 = GPU{Name: "A100", SM: 80, Multiprocessor: 108, Tensor: 312e12, Sparse: 1.6, DRAM: 1.56e12, L2: 4.5e12,
		Exps: 108 * 16 * 1.41e9, Shared: 164 << 10, MostShared: 99 << 10, Launch: 1.5e-6}
	H200 = GPU{Name: "H200", SM: 90, Multiprocessor: 132, Tensor: 610e12, Sparse: 1.6, DRAM: 4.8e12, L2: 7e12,
		Exps: 132 * 16 * 1.83e9, Shared: 228 << 10, MostShared: 227 << 10, Launch: 1.2e-6}
)

// A Tile is the part of a product that a block computes, and its share of a
// multiprocessor.
type Tile struct {
	Name          string // in tables of measurements
	Rows, Outputs int
	Blocks        int // that fit a multiprocessor
}

// Tile chooses among tiles for a dense product of up to rows rows, 0 for more
// than any class has: the one that was measured as best, else the one
// predicted to be.
func (g GPU) Tile(tiles []Tile, rows, n, k int) int {
	use := g.Tuning.measured(LinearKey(g.SM, g.DType, rows, n, k))
	best, least := 0, math.Inf(1)
	for i, t := range tiles {
		if t.Name == use {
			return i
		}
		if s := g.Product(t, cmp.Or(rows, manyRows), n, k); s < least {
			best, least = i, s
		}
	}
	return best
}

// manyRows stands for a number of rows that has no class.
const manyRows = 16384

// Product predicts the time of a dense product of rows rows, n outputs and k
// inputs by tiles. The multiprocessor with the most blocks decides, and how far
// the blocks that it has at once keep its tensor cores busy: two of 128×128
// do, and what is smaller by a factor loses its root. No product is faster
// than the traffic of its blocks to the second-level cache, or than its
// weights come from memory.
func (g GPU) Product(t Tile, rows, n, k int) float64 {
	blocks := math.Ceil(float64(rows)/float64(t.Rows)) * math.Ceil(float64(n)/float64(t.Outputs))
	most := math.Ceil(blocks / float64(g.Multiprocessor))
	elements := float64(t.Rows * t.Outputs)
	busy := math.Min(1, math.Sqrt(math.Min(most, float64(t.Blocks))*elements/(2*128*128)))
	compute := most * 2 * elements * float64(k) * float64(g.Multiprocessor) / g.Tensor / busy
	traffic := blocks * 2 * float64(t.Rows+t.Outputs) * float64(k) / g.L2
	weights := 2 * float64(n) * float64(k) / g.DRAM
	return g.Launch + max(compute, traffic, weights)
}

// Attention estimates the attention operators whose row of scores fits, for
// as many rows of s tokens as keep the card busy, in seconds for one row.
//
// otf reads keys and values once for each block of queries and holds a whole
// row of scores; partial writes scores and reads them again; flash rescales
// its sums for each block of keys.
func (g GPU) Attention(a *ir.AttentionAttrs, s int) []Estimate {
	heads, n, d, dv := float64(a.Heads), float64(s), float64(a.D), float64(a.Dv)
	queries := 64
	if s <= 32 {
		queries = 16
	}
	blocks := math.Ceil(n/float64(queries)) * heads
	padded := math.Ceil(n/16) * 16
	products := heads * 2 * padded * padded * (d + dv) / (g.Tensor / 3) // softmax between products keeps tensor cores waiting
	softmax := heads * n * n / g.Exps
	reads := blocks * 2 * n * (d + dv) / g.L2
	scores := heads * n * n * 4 / g.DRAM

	otf := products + softmax + reads
	flash := products + softmax*1.15 + reads
	partial := products + softmax + 2*scores + reads/2 + g.Launch

	var all []Estimate
	if shared := otfShared(a, s, queries); shared <= g.MostShared {
		all = append(all, Estimate{Kind: ir.OTFAttention, Seconds: otf * g.crowding(shared), Queries: queries})
	}
	all = append(all,
		Estimate{Kind: ir.PartialOTFAttention, Seconds: partial, Workspace: int64(4 * a.Heads * s), Queries: queries},
		Estimate{Kind: ir.FlashAttention, Seconds: flash, Queries: queries})
	return all
}

// crowding is how much longer blocks take that leave room for few others.
func (g GPU) crowding(shared int) float64 {
	if g.Shared/(shared+1024) >= 2 {
		return 1
	}
	return 1.3
}

// otfShared estimates the shared memory of otf_attention: queries, all keys
// and values in 16 bits, and the scores.
func otfShared(a *ir.AttentionAttrs, s, queries int) int {
	padded := (s + 15) / 16 * 16
	return 2*(queries*(a.D+8)+padded*(a.D+a.Dv+16)) + 4*queries
}

// RankAttention is Attention, the best first: the one that was measured as
// best, then by time.
func (g GPU) RankAttention(a *ir.AttentionAttrs, s int) []Estimate {
	all := g.Attention(a, s)
	use := g.Tuning.measured(AttentionKey(g.SM, g.DType, a, s))
	slices.SortStableFunc(all, func(x, y Estimate) int {
		switch use {
		case x.Variant():
			return -1
		case y.Variant():
			return 1
		}
		return cmp.Compare(x.Seconds, y.Seconds)
	})
	return all
}

// ChooseAttention is the best of RankAttention.
func (g GPU) ChooseAttention(a *ir.AttentionAttrs, s int) Estimate { return g.RankAttention(a, s)[0] }

// Linear chooses the form of a product by what tensor cores and memory take
// for 4096 tokens. Single entries have no tensor cores: they are never chosen.
func (g GPU) Linear(w sparse.Matrix) ir.Kind {
	const rows = 4096
	dense := g.Product(Tile{Rows: 128, Outputs: 128, Blocks: 2}, rows, w.N, w.K)
	kept := float64(w.Tiles*sparse.Tile*sparse.Tile) / float64(w.N*w.K)
	tiles := dense*kept*tileLoss + g.Launch
	half := dense / g.Sparse
	switch {
	case w.Tiles == 0, tiles < dense && (!w.NM24 || tiles <= half):
		return ir.BlockSparseLinear
	case w.NM24 && half < dense:
		return ir.Sparse24Linear
	}
	return ir.Linear
}

// tileLoss is how much longer a 16×16 tile takes than its part of a dense
// product: its inputs are shared by fewer outputs.
const tileLoss = 1.5
