package kernels

import (
	"bytes"
	"testing"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/formats/plan/layout"
)

// blockSparse is a kernel of block_sparse_linear: rows of x and rows of tiles of
// a block, rows of x of a warp, stages, and other constants.
func blockSparse(bm, rows, wm, stages int, more map[string]int) launch.Kernel {
	all := map[string]int{"BM": bm, "ROWS": rows, "WM": wm, "STAGES": stages}
	for name, v := range more {
		all[name] = v
	}
	return launch.Make("block_sparse_linear", all)
}

var (
	blockSparseMain   = blockSparse(64, 8, 16, 2, nil)
	blockSparseWide   = blockSparse(128, 4, 32, 3, nil)
	blockSparseSmall  = blockSparse(16, 1, 16, 4, map[string]int{"DTYPE": launch.BF16, "OUT32": 1, "ACT": 1})
	blockSparseGather = blockSparse(32, 2, 16, 3, map[string]int{"GATHER": 1, "R32": 1, "ACT": 3})
)

func blockSparseGoldens() []launch.Kernel {
	return []launch.Kernel{blockSparseMain, blockSparseWide, blockSparseSmall, blockSparseGather}
}

func blockSparseCases() []testCase {
	var all []testCase
	add := func(p sparseProduct) { all = append(all, p.testCase()) }
	for i, s := range sparseShapes([]int{1, 63, 64, 65, 7, 130}, []int{127, 16, 129, 17, 1, 128, 200}, []int{64, 63, 200, 16, 1, 129, 65, 330}) {
		add(sparseProduct{kernel: blockSparseMain, t: s[0], n: s[1], k: s[2], keep: 0.5, bare: i%3 == 2, scaled: i % 2 * s[1] / 2})
	}
	for _, s := range sparseShapes([]int{129, 31, 33}, []int{65, 64, 30}, []int{192, 72, 20, 257}) {
		add(sparseProduct{kernel: blockSparseWide, t: s[0], n: s[1], k: s[2], keep: 0.4})
	}
	for _, s := range sparseShapes([]int{17, 16, 5}, []int{33, 8, 16, 3}, []int{80, 8, 333, 64, 7}) {
		add(sparseProduct{kernel: blockSparseSmall, t: s[0], n: s[1], k: s[2], keep: 0.7, scaled: 2})
	}
	for _, s := range sparseShapes([]int{6, 18}, []int{16, 34, 14}, []int{77, 150, 188}) { // ends within four and eight
		add(sparseProduct{kernel: blockSparseSmall, t: s[0], n: s[1], k: s[2], keep: 0.8, bare: s[1] == 14})
	}
	for _, s := range sparseShapes([]int{33, 3, 32}, []int{48, 31, 70}, []int{100, 17, 64, 150}) {
		add(sparseProduct{kernel: blockSparseGather, t: s[0], n: s[1], k: s[2], keep: 0.5})
	}
	for _, s := range sparseShapes([]int{9, 26, 20, 4}, []int{33, 34, 35, 29}, []int{77, 150, 64}) { // ends within four outputs, in either half of a warp's rows
		add(sparseProduct{kernel: blockSparseGather, t: s[0], n: s[1], k: s[2], keep: 0.6, scaled: 20})
	}
	for _, k := range blockSparseGoldens() { // an index that tiles follow at once, of whole panels
		add(sparseProduct{kernel: k, t: 3, n: 128, k: 256, keep: 0.6, bare: true})
	}
	for _, k := range []launch.Kernel{blockSparseSmall, blockSparseGather} { // rows of tiles with none among the first 32 panels
		add(sparseProduct{kernel: k, t: 3, n: 112, k: 65*64 + 5, keep: 0.01, bare: true})
	}
	for _, k := range blockSparseGoldens() { // the same, of more than the 32 panels that a warp holds
		add(sparseProduct{kernel: k, t: 1, n: 128, k: 40 * 64, keep: 0.1, bare: true})
	}
	for _, k := range []launch.Kernel{blockSparseSmall, blockSparseWide} { // the panel that comes first is the last, and ends within eight
		add(sparseProduct{kernel: k, t: 1, n: 960, k: 69, keep: 0.1, bare: true})
	}
	for _, s := range sparseShapes([]int{120, 20, 35}, []int{70, 65}, []int{77, 256}) { // every tile; the last rows of x of a warp
		add(sparseProduct{kernel: blockSparseWide, t: s[0], n: s[1], k: s[2], keep: 1, scaled: 30})
	}
	for t := 1; t <= 6; t++ { // one panel or two among the first 32, in the last row of tiles too, and an index that tiles follow at once
		add(sparseProduct{kernel: blockSparseSmall, t: t, n: 128, k: 40 * 64, keep: 0.01, bare: true})
	}
	for t := 1; t <= 4; t++ { // the panel that comes first is the last
		add(sparseProduct{kernel: blockSparseWide, t: t, n: 960, k: 69, keep: 0.06, bare: true})
	}
	for _, k := range []int{320, 300} { // the row past the last is the first and is the last that a thread copies, behind the loop's first panels
		add(sparseProduct{kernel: blockSparseWide, t: 120, n: 64, k: k, keep: 0.9, bare: true})
		add(sparseProduct{kernel: blockSparseGather, t: 20, n: 34, k: k, keep: 0.9})
	}
	// Panels that none has, at the start too, and more of them than stages.
	for _, k := range blockSparseGoldens() {
		add(sparseProduct{kernel: k, t: 18, n: 20, k: 900, keep: 0.1})
		add(sparseProduct{kernel: k, t: 18, n: 20, k: 390, keep: 0.8})
		add(sparseProduct{kernel: k, t: 3, n: 48, k: 69*64 + 5, keep: 0.04, bare: true}) // and the index is read again and again
		add(sparseProduct{kernel: k, t: 3, n: 36, k: 34*64 + 40, keep: 0.3})
		add(sparseProduct{kernel: k, t: 3, n: 16, k: 66 * 64, keep: 0.5, bare: true})
	}
	add(sparseProduct{kernel: blockSparseMain, t: 5, n: 128, k: 640, keep: 0.06}) // inputs that one row of tiles alone needs
	add(sparseProduct{kernel: blockSparseWide, t: 5, n: 64, k: 640, keep: 0.1})
	// Every tile, none, and few among many panels: more than the index of which a warp holds at a time.
	add(sparseProduct{kernel: blockSparseMain, t: 20, n: 130, k: 200, keep: 1})
	add(sparseProduct{kernel: blockSparseMain, t: 20, n: 40, k: 200, keep: 0})
	add(sparseProduct{kernel: blockSparseSmall, t: 9, n: 20, k: 33*64 + 70, keep: 0.4})
	add(sparseProduct{kernel: blockSparseMain, t: 3, n: 10, k: 65*64 + 5, keep: 0.01, bare: true})
	return all
}

// TestBlockSparseInvariance: rows have the same bits alone as among others, and
// from blocks of any size; they are those of the dense product of the same
// matrix.
func TestBlockSparseInvariance(t *testing.T) {
	p := sparseProduct{kernel: blockSparseMain, t: 21, n: 72, k: 200, keep: 0.5, scaled: 30}.filled()
	want := checkInvariance(t, goldenModule(t, blockSparseMain), p)
	for _, k := range []launch.Kernel{blockSparseWide, launch.Make("linear", launch.LinearTiles()[0].Constants())} {
		p.kernel = k
		if !bytes.Equal(checkInvariance(t, goldenModule(t, k), p), want) {
			t.Errorf("%s: other bits than %s", k.Entry(), blockSparseMain.Entry())
		}
	}
}

// TestBlockSparseTraffic: see checkTraffic. A tile is two products for each 16 rows.
func TestBlockSparseTraffic(t *testing.T) {
	for _, k := range []launch.Kernel{blockSparseMain, blockSparseWide, blockSparseSmall} {
		p := sparseProduct{kernel: k, t: 2 * k.Value("BM"), n: 2 * 16 * k.Value("ROWS"), k: 320, keep: 0.6}.filled()
		_, c, err := p.counted(goldenModule(t, k), ptxsim.Options{Count: true})
		if err != nil {
			t.Fatal(k.Entry(), err)
		}
		tiles := (len(layout.PackGPUTiles(p.weights(), p.n, p.k)) - layout.GPUTileBytes(p.n, p.k, 0)) / 512
		checkTraffic(t, k, c, tiles*2*p.t/16)
	}
}
