// Package cost predicts the time of kernel operators and chooses among those
// that compute the same.
//
// A target, a shape and, for attention, a bucket enter; the operator and its
// workspace leave. A choice depends on nothing else (docs/rationale.md:
// never on the number of tokens or rows in a batch), so a row gets the same
// operators in every batch.
package cost

import (
	"math"

	"etc/ir"
	"etc/ir/sparse"
)

// A Machine is what the model knows of a target. Rates are of one core.
type Machine struct {
	Target     string
	Flops      float64 // float32 operations a second of attention's products, two for each multiply-add
	DenseFlops float64 // of a dense product with weights, in the target's type
	TileFlops  float64 // of a 16×16 block-sparse product, counting kept tiles only
	CSRFlops   float64 // of a compressed-row product, counting kept elements only; 0: there is none
	Exps       float64 // exponentials a second of a softmax
	L1, L2     float64 // bytes of cache that a task may fill
	Spill      float64 // bytes a second to and from what does not fit
}

// CPU is the machine for cpu:f32: an AVX-512 core at half width (AMD Zen 4).
// The product rates are the best of `go test -bench Sparse ./executor/cpu/kernel`
// at 384×384 and 128 tokens there: dense 113 to 117 GFLOP/s at either level;
// for each tile that is kept 107 to 111 where 30 % are zero, 101 to 105 where
// half are, 70 to 83 where 90 % are; for each single entry 88, 86 to 89, and
// 65. Only their ratios matter to the choices. With fewer tokens single
// entries lose: half of them take as long as all of them for 16 tokens, twice
// as long for 8. A plan has one form for all batches (decision 3), and those
// that keep a machine busy decide.
var CPU = Machine{
	Target: "cpu:f32",
	Flops:  115e9, DenseFlops: 115e9, TileFlops: 104e9, CSRFlops: 88e9, Exps: 2e9,
	L1: 32 << 10, L2: 512 << 10, Spill: 20e9,
}

// CPUInt16 and CPUInt8 are the same with products in integers. Rates are the
// best of `go test -bench Integers ./executor/cpu/kernel` at 1536×384 and
// 384×1536, 16 and 128 tokens, on an AMD EPYC with AVX2: int16 dense 113 to 148
// GOP/s, for each tile that is kept where half are 119 to 134; int8 95 to 138
// and 92 to 113. Again only ratios matter.
var (
	CPUInt16 = CPU.integers("cpu:int16", 140e9, 125e9)
	CPUInt8  = CPU.integers("cpu:int8", 132e9, 110e9)
)

func (m Machine) integers(target string, dense, tiles float64) Machine {
	m.Target, m.DenseFlops, m.TileFlops, m.CSRFlops = target, dense, tiles, 0
	return m
}

// queryBlock is the number of queries whose scores a kernel holds at once.
const queryBlock = 8

// keyBlock is the number of keys between two rescalings of flash attention.
const keyBlock = 64

// An Estimate is the predicted cost of one operator for one row.
type Estimate struct {
	Kind      ir.Kind
	Seconds   float64
	Workspace int64 // bytes for each task that runs at once; on a GPU for each token
	Queries   int   // in a block, on a GPU, as what follows
	Shared    int   // bytes of shared memory of a block, of the kernel that needs most
	Measured  bool  // it is the best by a table of measurements
}

// A Model predicts and chooses for one target.
type Model interface {
	// Attention estimates the attention operators that there are for rows of s tokens.
	Attention(a *ir.AttentionAttrs, s int) []Estimate
	// ChooseAttention is the one that takes least.
	ChooseAttention(a *ir.AttentionAttrs, s int) Estimate
	// Linear is the form of a product with weights of such zeros.
	Linear(w sparse.Matrix) ir.Kind
}

// Attention estimates the three attention operators for a row of s tokens,
// in the order of the operator set.
func (m Machine) Attention(a *ir.AttentionAttrs, s int) []Estimate {
	heads, n := float64(a.Heads), float64(s)
	products := heads * 2 * n * n * float64(a.D+a.Dv) / m.Flops
	softmax := heads * n * n / m.Exps
	scores := 4 * queryBlock * n // bytes of a block of score rows
	keys := 4 * n * float64(a.D+a.Dv)

	// The whole row of scores on chip: fast until row and keys leave the cache.
	otf := products + softmax
	if held := scores + keys; held > m.L2 {
		otf += heads * n / queryBlock * (held - m.L2) / m.Spill
	}
	// Scores by a tiled product: written once and read once.
	partial := products + softmax + heads*2*4*n*n/m.Spill
	// Online softmax: one rescaling of the block's output for each key block.
	flash := products + softmax + heads*n*float64(a.Dv)*math.Ceil(n/keyBlock)/m.Flops*2

	return []Estimate{
		{Kind: ir.OTFAttention, Seconds: otf, Workspace: int64(scores + keys)},
		{Kind: ir.PartialOTFAttention, Seconds: partial, Workspace: int64(4*n*n + keys)},
		{Kind: ir.FlashAttention, Seconds: flash, Workspace: int64(4*queryBlock*keyBlock + 4*queryBlock*float64(a.Dv) + keys)},
	}
}

// ChooseAttention returns the cheapest of Attention, the first among equals.
func (m Machine) ChooseAttention(a *ir.AttentionAttrs, s int) Estimate {
	return cheapest(m.Attention(a, s))
}

// cheapest is the estimate of least time, the first among equals.
func cheapest(all []Estimate) Estimate {
	best := all[0]
	for _, e := range all[1:] {
		if e.Seconds < best.Seconds {
			best = e
		}
	}
	return best
}

// PrecomputePays reports whether attention with the product of W_V and W_O,
// out of k inputs into n outputs, costs less than V, P·V and W_O for rows of
// s tokens. Multiply-adds a row: s·k·h·dv + s²·h·dv + s·h·dv·n against
// h·n·(s·k + s²); docs/references.md.
func PrecomputePays(a *ir.AttentionAttrs, k, n, s int) bool {
	inner := a.Heads * a.Dv
	factored := s*k*inner + s*s*inner + s*inner*n
	return a.Heads*n*(s*k+s*s) < factored
}

// Linear chooses the form of a product by the predicted time of one token.
func (m Machine) Linear(w sparse.Matrix) ir.Kind {
	dense := 2 * float64(w.N*w.K) / m.DenseFlops
	tiles := 2 * float64(w.Tiles*sparse.Tile*sparse.Tile) / m.TileFlops
	entries := math.Inf(1)
	if m.CSRFlops > 0 {
		entries = 2 * float64(w.NonZeros) / m.CSRFlops
	}
	switch {
	case tiles < dense && tiles <= entries:
		return ir.BlockSparseLinear
	case entries < dense && w.NM24:
		return ir.Sparse24Linear
	case entries < dense:
		return ir.CSRLinear
	}
	return ir.Linear
}
