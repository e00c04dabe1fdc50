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
	Sparse         float64 // how much faster a 2:4 product is than a dense one of the same shape
	DRAM, L2       float64 // bytes a second
	Exps           float64 // ex2 a second
	Shared         int     // bytes of shared memory of a multiprocessor
	MostShared     int     // that a block may have in our kernels for this SM
	Launch         float64 // seconds from one kernel of a graph to the next
	Round          float64 // seconds of a round of a product's blocks that are not its sums: first copies, results

	DType  string  // storage type of the target, for keys of Tuning
	Tuning *Tuning // what was measured; nil: nothing
}

// The cards that targets stand for. Tensor of the H200 is what mma.sync
// reaches of its 989 TFLOP/s: about 62 % (its full rate takes wgmma). Launch
// and Round of the H200, and the figures of tiles, were fitted to 210 products
// measured on one (docs/performance.md); the A100's are taken to be alike.
// Sparse of the H200 is that of BERT_BASE at 128 rows of 128 tokens; an A100
// has not the largest tiles of dense products, so that 2:4 is taken to gain.
var (
	A100 = GPU{Name: "A100", SM: 80, Multiprocessor: 108, Tensor: 312e12, Sparse: 1.1, DRAM: 1.56e12, L2: 4.5e12,
		Exps: 108 * 16 * 1.41e9, Shared: 164 << 10, MostShared: 99 << 10, Launch: 1.5e-6, Round: 1.8e-6}
	H200 = GPU{Name: "H200", SM: 90, Multiprocessor: 132, Tensor: 610e12, Sparse: 1, DRAM: 4.8e12, L2: 7e12,
		Exps: 132 * 16 * 1.83e9, Shared: 228 << 10, MostShared: 227 << 10, Launch: 1.2e-6, Round: 1.8e-6}
)

// Card is the card that targets of a compute capability stand for, false where
// there is none.
func Card(sm int) (GPU, bool) {
	for _, g := range []GPU{A100, H200} {
		if g.SM == sm {
			return g, true
		}
	}
	return GPU{}, false
}

// A Tile is the part of a product that a block computes, and its share of a
// multiprocessor.
type Tile struct {
	Name          string // in tables of measurements
	Rows, Outputs int
	Blocks        int     // that fit a multiprocessor by registers
	Warps         int     // of a block
	Rate          float64 // share of Tensor that many warps of this tile reach
	Shared        int     // bytes of shared memory of a block
}

// Tile chooses among tiles for a dense product of up to rows rows, 0 for more
// than any class has: the one that was measured as best, else the one
// predicted to be.
func (g GPU) Tile(tiles []Tile, rows, n, k int) int { return g.RankTiles(tiles, rows, n, k)[0].Index }

// A TileEstimate is the predicted time of a product by one of a list of tiles.
type TileEstimate struct {
	Index    int
	Seconds  float64
	Measured bool // it is the best by a table of measurements
}

// RankTiles is what Tile chooses from, the best first: the one that was
// measured as best, then by time, the first among equals. Tiles that need more
// shared memory than a block may have are not among them; one that fits must be.
func (g GPU) RankTiles(tiles []Tile, rows, n, k int) []TileEstimate {
	use := g.Tuning.measured(LinearKey(g.SM, g.DType, rows, n, k))
	var all []TileEstimate
	for i, t := range tiles {
		if t.Shared <= g.MostShared {
			all = append(all, TileEstimate{i, g.Product(t, cmp.Or(rows, ManyRows), n, k), t.Name == use})
		}
	}
	slices.SortStableFunc(all, func(x, y TileEstimate) int {
		if x.Measured != y.Measured {
			return before(x.Measured)
		}
		return cmp.Compare(x.Seconds, y.Seconds)
	})
	return all
}

// before is the order of two of which only one is first.
func before(first bool) int {
	if first {
		return -1
	}
	return 1
}

// ManyRows stands for a number of rows that has no class.
const ManyRows = 16384

// Product predicts the time of a dense product of rows rows, n outputs and k
// inputs by tiles.
func (g GPU) Product(t Tile, rows, n, k int) float64 { return g.PredictProduct(t, rows, n, k).Seconds }

// idleWarps is how many warps' time goes by while tensor cores wait for the few
// warps of a multiprocessor: w of them take as long as w + idleWarps would that
// never waited.
const idleWarps = 3.25

// systemShared is what the system takes of shared memory for each block.
const systemShared = 1 << 10

// blocks is how many blocks with so many bytes of shared memory a
// multiprocessor has the memory for.
func (g GPU) blocks(shared int) int { return g.Shared / (shared + systemShared) }

// PredictProduct predicts the same. The multiprocessor with the most blocks
// decides. It has them in rounds of as many as fit; a round takes its sums, at
// the tile's rate less what few warps lose, and Round. No product is faster than
// the traffic of its blocks to the second-level cache, or than its weights come
// from memory.
func (g GPU) PredictProduct(t Tile, rows, n, k int) Prediction {
	blocks := math.Ceil(float64(rows)/float64(t.Rows)) * math.Ceil(float64(n)/float64(t.Outputs))
	most := math.Ceil(blocks / float64(g.Multiprocessor))
	fit := max(1, min(t.Blocks, g.blocks(t.Shared)))
	rounds := math.Ceil(most / float64(fit))
	block := 2 * float64(t.Rows*t.Outputs) * float64(k) * float64(g.Multiprocessor) / (g.Tensor * t.Rate)
	weights := 2 * float64(n) * float64(k)
	p := Prediction{Flops: 2 * float64(rows) * float64(n) * float64(k), Bytes: weights + 2*float64(rows)*float64(n+k)}
	return g.bound(p,
		limit{"tensor cores", block*(most+rounds*idleWarps/float64(t.Warps)) + rounds*g.Round},
		limit{"L2", blocks * 2 * float64(t.Rows+t.Outputs) * float64(k) / g.L2},
		limit{"weights", weights / g.DRAM})
}

// A Prediction is the time of one kernel, what it takes to memory and back
// where every operand is there once, and which limit binds.
type Prediction struct {
	Seconds      float64
	Flops, Bytes float64
	Limit        string
}

// A limit is what takes at least so many seconds.
type limit struct {
	name    string
	seconds float64
}

// bound makes the longest of several times that of p, and its limit; one that
// is below the time of a launch does not bind.
func (g GPU) bound(p Prediction, limits ...limit) Prediction {
	longest := 0.0
	for _, l := range limits {
		if l.seconds > longest {
			longest, p.Limit = l.seconds, l.name
		}
	}
	if longest < g.Launch {
		p.Limit = "launch"
	}
	p.Seconds = g.Launch + longest
	return p
}

// PredictRows predicts a kernel that computes each row by itself and moves so
// many bytes: it takes as long as they do.
func (g GPU) PredictRows(bytes float64) Prediction {
	return g.bound(Prediction{Bytes: bytes}, limit{"memory", bytes / g.DRAM})
}

// Linear chooses the form of a product: the fastest of Forms, the first among
// equals.
func (g GPU) Linear(w sparse.Matrix) ir.Kind { return cheapest(g.Forms(w)).Kind }

// Forms estimates the forms of a product that w has, by what tensor cores and
// memory take for 4096 rows. Single entries have no tensor cores: they are
// never among them.
func (g GPU) Forms(w sparse.Matrix) []Estimate {
	const rows = 4096
	dense := g.Product(denseTile, rows, w.N, w.K)
	kept := float64(w.Tiles*sparse.Tile*sparse.Tile) / float64(w.N*w.K)
	all := []Estimate{{Kind: ir.Linear, Seconds: dense}}
	tiles := Estimate{Kind: ir.BlockSparseLinear, Seconds: dense*kept*tileLoss + g.Launch}
	if w.Tiles == 0 {
		tiles.Seconds = 0 // nothing is multiplied, only biases are written
	}
	if w.NM24 {
		all = append(all, tiles, Estimate{Kind: ir.Sparse24Linear, Seconds: dense / g.Sparse})
	} else {
		all = append(all, tiles)
	}
	return all
}

// denseTile stands for the tiles of dense products of many rows.
var denseTile = Tile{Rows: 128, Outputs: 128, Blocks: 2, Warps: 4, Rate: 0.95}

// tileLoss is how much longer a 16×16 tile takes than its part of a dense
// product: its inputs are shared by fewer outputs. From BERT_BASE with half of
// its tiles on an H200, 32 rows of 128 tokens (docs/performance.md).
const tileLoss = 3.3
