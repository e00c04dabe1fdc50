package launch

import (
	"fmt"
	"slices"
)

// A LinearTile is the part of a dense product that a block computes, and how.
// Every tile sums in the same order: the bits of a result do not depend on the
// choice, only its time does.
type LinearTile struct {
	BM, BN int     // rows and features of a block
	BK     int     // inputs of a stage
	Stages int     // stages in shared memory
	WM, WN int     // rows and features of a warp
	Blocks int     // that fit one multiprocessor of an H200
	Rate   float64 // share of mma.sync's rate that many warps of it reach, from times on an H200
	Why    string
}

var linearTiles = []LinearTile{
	{128, 256, 64, 3, 64, 64, 1, 1.05, "many thousand rows: the fewest bytes from the second-level cache"},
	{192, 128, 64, 4, 32, 64, 1, 0.89, "some thousand rows: few rounds of blocks, each with many warps"},
	{128, 128, 32, 4, 64, 64, 2, 0.95, "many rows where a block has less shared memory"},
	{128, 64, 32, 4, 64, 32, 3, 0.72, "many rows of few features: more blocks for the last round"},
	{64, 64, 64, 4, 32, 32, 3, 0.74, "some hundred rows"},
	{32, 32, 64, 8, 16, 32, 3, 0.52, "one row of the batch: blocks for all multiprocessors, each with many copies under way"},
	{16, 64, 64, 8, 16, 32, 2, 0.40, "up to 16 rows, many features: the stream of w"},
}

// LinearTiles are the tiles that linear has, from the largest to the smallest;
// the cost model chooses among them.
func LinearTiles() []LinearTile { return slices.Clone(linearTiles) }

// Name is the tile in tables of measurements, such as 128x64x32x4.
func (t LinearTile) Name() string { return fmt.Sprintf("%dx%dx%dx%d", t.BM, t.BN, t.BK, t.Stages) }

// Constants are those of the kernel that a tile decides.
func (t LinearTile) Constants() map[string]int {
	return map[string]int{"BM": t.BM, "BN": t.BN, "BK": t.BK, "STAGES": t.Stages, "WM": t.WM, "WN": t.WN}
}

func tileOf(k Kernel) LinearTile {
	return LinearTile{
		BM: k.Value("BM"), BN: k.Value("BN"), BK: k.Value("BK"), Stages: k.Value("STAGES"), WM: k.Value("WM"), WN: k.Value("WN"),
	}
}

// threads: a warp to each part of the tile.
func (t LinearTile) threads() int { return t.BM / t.WM * (t.BN / t.WN) * 32 }

// stageBytes is the shared memory of all stages, in elements of 2 bytes.
func (t LinearTile) stageBytes() int { return t.Stages * (t.BM + t.BN) * t.BK * 2 }

// tileConstants are those of a family over linear_product.cuh, and its own.
func tileConstants(own ...constant) []constant {
	return append([]constant{
		{"DTYPE", F16, BF16}, {"BM", 16, 192}, {"BN", 32, 256}, {"BK", 32, 64}, {"STAGES", 2, 8}, {"WM", 16, 64}, {"WN", 32, 64},
	}, own...)
}

// productFamilies are dense products.
var productFamilies = map[string]*family{
	"linear": {
		constants: tileConstants(constant{"ACT", 0, 4}, constant{"R32", 0, 1}, constant{"OUT32", 0, 1}, constant{"GATHER", 0, 1}),
		params:    parseParams("count* x* w* bias* residual* columns* y* N K ldx ldw ldr ldy scaled scale.f"),
		threads:   func(k Kernel) int { return tileOf(k).threads() },
		shared:    linearShared,
		grid: func(k Kernel, s Size) [3]int {
			return [3]int{ceil(s.Rows, k.Value("BM")) * ceil(s.N, k.Value("BN")), 1, 1}
		},
		check: checkLinear,
	},
	"linear_nll": {
		constants: tileConstants(constant{"TILES", 1, 64}),
		params:    parseParams("count* x* w* bias* ids* rowof* partial* K V ldx ldw chunks"),
		threads:   func(k Kernel) int { return tileOf(k).threads() },
		shared:    nllShared,
		grid: func(k Kernel, s Size) [3]int {
			return [3]int{ceil(s.Rows, k.Value("BM")) * NLLChunks(k, s.N), 1, 1}
		},
		check: checkNLL,
	},
	"linear_nll_combine": {
		params:  parseParams("count* ids* offsets* rowof* partial* nll* hit* chunks ldn ldh"),
		threads: func(Kernel) int { return combineThreads },
		shared:  func(Kernel) int { return 0 },
		grid:    func(_ Kernel, s Size) [3]int { return [3]int{ceil(s.Rows, combineThreads), 1, 1} },
	},
}

// linearShared is the stages, or after them the float32 sums of all threads.
func linearShared(k Kernel) int {
	t := tileOf(k)
	return max(t.stageBytes(), t.BM*t.BN*4)
}

func checkLinear(k Kernel) error {
	t := tileOf(k)
	if !slices.ContainsFunc(linearTiles, func(l LinearTile) bool { l.Blocks, l.Rate, l.Why = 0, 0, ""; return l == t }) {
		return fmt.Errorf("kernel of linear: no tile %s with warps of %dx%d", t.Name(), t.WM, t.WN)
	}
	return nil
}

// nllTile is the one tile of linear_nll: how a loss is summed follows from it.
// Its blocks read a part of w that many of them share, so it is wide.
var nllTile = LinearTile{BM: 64, BN: 128, BK: 32, Stages: 4, WM: 64, WN: 32}

// nllTiles is how many tiles of the vocabulary are one chunk: of 512 words,
// so that GPT-2's 50257 words and 64 tokens still give 99 blocks.
const nllTiles = 4

// NLLTile are the constants of linear_nll but for the storage type.
func NLLTile() map[string]int {
	all := nllTile.Constants()
	all["TILES"] = nllTiles
	return all
}

// NLLChunks is into how many chunks a kernel of linear_nll cuts a vocabulary.
// It leaves 16 bytes for each token and chunk.
func NLLChunks(k Kernel, vocabulary int) int { return ceil(vocabulary, k.Value("BN")*k.Value("TILES")) }

// nllShared is the stages; for each row and warp beside another the largest
// logit, the sum, where the largest is; for each row its word and its logit.
func nllShared(k Kernel) int {
	t := tileOf(k)
	return t.stageBytes() + t.BM*(t.BN/t.WN)*16 + t.BM*8
}

func checkNLL(k Kernel) error {
	if t := tileOf(k); t != nllTile || k.Value("TILES") != nllTiles {
		return fmt.Errorf("kernel of linear_nll: no tile %s with warps of %dx%d and %d tiles a chunk", t.Name(), t.WM, t.WN, k.Value("TILES"))
	}
	return nil
}

// combineThreads is small because a thread has a token, and a batch few.
const combineThreads = 32
