package launch

import "fmt"

const (
	panelBytes = 128 // of 64 inputs, which kernels keep of a row of x at a time
	tileBytes  = 512 // of a 16×16 tile
	warpLanes  = 32
)

// epilogue are the constants of what follows a product.
var epilogue = []constant{{"DTYPE", F16, BF16}, {"ACT", 0, 4}, {"R32", 0, 1}, {"OUT32", 0, 1}}

// sparseFamilies are products with sparse weights.
var sparseFamilies = map[string]*family{
	"block_sparse_linear": {
		// BM rows of x by ROWS rows of tiles, of which each warp has WM rows of x.
		constants: append([]constant{{"BM", 16, 128}, {"ROWS", 1, 8}, {"WM", 16, 32}, {"STAGES", 2, 4}, {"GATHER", 0, 1}}, epilogue...),
		params:    parseParams("count* x* index* tiles* bias* residual* columns* y* N K ldx ldr ldy scaled scale.f"),
		threads:   func(k Kernel) int { return k.Value("BM") / k.Value("WM") * warpLanes },
		shared: func(k Kernel) int {
			stage := k.Value("BM")*panelBytes + k.Value("ROWS")*4*tileBytes
			return max(k.Value("STAGES")*stage, sumBytes(k.Value("BM"), k.Value("ROWS")*16))
		},
		grid:  func(k Kernel, s Size) [3]int { return productGrid(s, k.Value("BM"), k.Value("ROWS")*16) },
		check: checkBlockSparse,
	},
	"sparse24_linear": {
		// BM rows of x by BN outputs, half of each in each of four warps.
		constants: append([]constant{{"BM", 16, 128}, {"BN", 64, 128}, {"STAGES", 2, 4}, {"GATHER", 0, 1}}, epilogue...),
		params:    parseParams("count* x* values* meta* bias* residual* columns* y* N K ldx ldv ldr ldy scaled scale.f"),
		threads:   func(Kernel) int { return 4 * warpLanes },
		shared: func(k Kernel) int {
			stage := (k.Value("BM")+k.Value("BN")/2)*panelBytes + k.Value("BN")*8
			return max(k.Value("STAGES")*stage, sumBytes(k.Value("BM"), k.Value("BN")))
		},
		grid:  func(k Kernel, s Size) [3]int { return productGrid(s, k.Value("BM"), k.Value("BN")) },
		check: func(k Kernel) error { return checkPowers(k, "BM", "BN") },
	},
	"csr_linear": {
		constants: epilogue,
		params:    parseParams("count* x* offsets* indices* values* bias* residual* y* N K ldx ldr ldy scaled scale.f"),
		threads:   func(Kernel) int { return csrWarps * warpLanes },
		shared:    func(Kernel) int { return 0 },
		grid:      func(_ Kernel, s Size) [3]int { return productGrid(s, csrWarps*csrRows, warpLanes) },
	},
}

// csrWarps and csrRows are the warps of a block of csr_linear, and the rows of
// x of each of them.
const csrWarps, csrRows = 4, 8

// productGrid is blocks of rows by blocks of outputs.
func productGrid(s Size, rows, outputs int) [3]int {
	return [3]int{max(1, ceil(s.Rows, rows)), max(1, ceil(s.N, outputs)), 1}
}

// sumBytes is the room in which kernels finish their sums, f32.
func sumBytes(rows, outputs int) int { return rows * outputs * 4 }

func checkBlockSparse(k Kernel) error {
	if err := checkPowers(k, "BM", "ROWS", "WM"); err != nil {
		return err
	}
	bm, rows, wm := k.Value("BM"), k.Value("ROWS"), k.Value("WM")
	if wm > bm || bm/wm > 4 {
		return fmt.Errorf("kernel of %s: BM %d in warps of %d rows, want 1 to 4 warps", k.Family, bm, wm)
	}
	if wm*rows > 256 {
		return fmt.Errorf("kernel of %s: %d rows of x by %d rows of tiles do not fit a warp", k.Family, wm, rows)
	}
	return checkShared(k)
}

// checkPowers insists on powers of two: indices are taken apart by shifts.
func checkPowers(k Kernel, names ...string) error {
	for _, name := range names {
		if v := k.Value(name); v&(v-1) != 0 {
			return fmt.Errorf("kernel of %s: %s is %d, want a power of two", k.Family, name, v)
		}
	}
	return checkShared(k)
}

// mostShared is the shared memory that a block may have on every device.
const mostShared = 101376

func checkShared(k Kernel) error {
	if s := k.Shared(); s > mostShared {
		return fmt.Errorf("kernel of %s: %d bytes of shared memory, want at most %d", k.Family, s, mostShared)
	}
	return nil
}
