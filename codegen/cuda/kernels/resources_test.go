package kernels

import (
	"maps"
	"testing"

	"etc/codegen/cuda/nvrtc"
	"etc/compiler/cost"
	"etc/formats/plan/launch"
	"etc/ir"
)

// fewestBlocks must fit a multiprocessor: while one waits, another computes. A
// block of fewestWarps has as many warps as two of the tiles before it, and was
// faster on an H200 (docs/performance.md): of those one is enough.
const fewestBlocks, fewestWarps = 2, 8

// mainKernels are those that plans of common models are made of: each tile of
// linear, alone and before the costliest activation, attention over heads of
// 64, the sparse products, the loss, and what computes rows.
func mainKernels() []launch.Kernel {
	all := []launch.Kernel{
		launch.Make("otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128})),
		launch.Make("otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "CAUSAL": 1, "BIAS": 1})),
		launch.Make("otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128, "ROWS": 1})),
		launch.Make("flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64})),
		launch.Make("flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64, "CAUSAL": 1, "BIAS": 1})),
		launch.Make("partial_otf_scores", map[string]int{"D": 64, "QB": 64, "SPLIT": 8}),
		launch.Make("partial_otf_attention", attentionOf(64, 64, 64, nil)),
		launch.Make("vo_attention", map[string]int{"D": 64, "QB": 64, "MAXS": 128, "BN": 64}),
		blockSparseMain,
		sparse24Main,
		launch.Make("csr_linear", nil),
	}
	for _, tile := range launch.LinearTiles() {
		for _, act := range []ir.ActKind{ir.NoAct, ir.GELU} {
			constants := tile.Constants()
			maps.Copy(constants, map[string]int{"ACT": int(act)})
			all = append(all, launch.Make("linear", constants))
		}
	}
	product, combine := lossKernels(launch.F16)
	return append(append(all, product, combine), rowwiseGoldens()...)
}

// TestResources: no main kernel needs more registers than it has, and two
// blocks of each, or one of many warps, fit a multiprocessor of every device
// that plans hold machine code for. Registers are counted by the assembler; nothing runs here.
func TestResources(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	c, err := compiler()
	if err != nil {
		t.Skipf("no NVRTC: %v", err)
	}
	var jobs []nvrtc.Job
	var built []launch.Kernel
	for _, k := range mainKernels() {
		source, err := Source(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, sm := range []int{80, 90} {
			if card, _ := cost.Card(sm); k.Fits(card.MostShared) {
				jobs, built = append(jobs, nvrtc.Job{Name: k.Entry(), Source: source, SM: sm}), append(built, k)
			}
		}
	}
	code, err := c.Compile(jobs)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range code {
		k, sm := built[i], jobs[i].SM
		shared := got.StaticShared + k.Shared()
		blocks := launch.Occupancy(sm, got.Registers, k.Threads(), shared)
		t.Logf("sm_%d %s: %d registers, %d threads, %d bytes shared, %d blocks", sm, k.Entry(), got.Registers, k.Threads(), shared, blocks)
		if k.Threads() >= fewestWarps*32 {
			blocks *= fewestBlocks
		}
		if got.Registers == 0 || got.Spills != 0 || blocks < fewestBlocks {
			t.Errorf("sm_%d %s: %d registers, %d bytes spilled, %d blocks a multiprocessor; want no spills, %d blocks",
				sm, k.Entry(), got.Registers, got.Spills, blocks, fewestBlocks)
		}
	}
}
