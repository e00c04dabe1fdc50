package kernels

import (
	"testing"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// sparse24 is a kernel of sparse24_linear: rows of x and outputs of a block,
// stages, and other constants.
func sparse24(bm, bn, stages int, more map[string]int) launch.Kernel {
	all := map[string]int{"BM": bm, "BN": bn, "STAGES": stages}
	for name, v := range more {
		all[name] = v
	}
	return launch.Make("sparse24_linear", all)
}

var (
	sparse24Main   = sparse24(64, 128, 3, nil)
	sparse24Small  = sparse24(16, 64, 4, map[string]int{"DTYPE": launch.BF16, "OUT32": 1, "ACT": 1})
	sparse24Gather = sparse24(32, 64, 3, map[string]int{"GATHER": 1, "R32": 1, "ACT": 2})
)

func sparse24Goldens() []launch.Kernel {
	return []launch.Kernel{sparse24Main, sparse24Small, sparse24Gather}
}

func sparse24Cases() []testCase {
	var all []testCase
	add := func(p sparseProduct) { all = append(all, p.testCase()) }
	for i, s := range sparseShapes([]int{1, 63, 64, 65, 7, 130}, []int{127, 32, 129, 33, 1, 128, 30}, []int{64, 63, 200, 4, 1, 129, 65, 330}) {
		add(sparseProduct{kernel: sparse24Main, t: s[0], n: s[1], k: s[2], keep: 0.9, bare: i%3 == 2, scaled: i % 2 * s[1] / 2})
	}
	for _, s := range sparseShapes([]int{17, 16, 5}, []int{65, 8, 64, 31}, []int{80, 8, 333, 64, 7}) {
		add(sparseProduct{kernel: sparse24Small, t: s[0], n: s[1], k: s[2], keep: 1, scaled: 2})
	}
	for _, s := range sparseShapes([]int{33, 3, 32}, []int{48, 63, 70}, []int{100, 17, 64, 150}) {
		add(sparseProduct{kernel: sparse24Gather, t: s[0], n: s[1], k: s[2], keep: 0.8})
	}
	// An even count of rows that is not a block's, whole strips that are not a block's, two outputs past
	// four, inputs that end within eight in a panel that is fetched first.
	for _, s := range sparseShapes([]int{6, 18}, []int{32, 34, 96}, []int{77, 150, 188}) {
		for _, k := range sparse24Goldens() {
			add(sparseProduct{kernel: k, t: s[0], n: s[1], k: s[2], keep: 1})
		}
	}
	for _, s := range sparseShapes([]int{9, 22, 36}, []int{33, 35, 101}, []int{77, 150, 700}) {
		add(sparseProduct{kernel: sparse24Gather, t: s[0], n: s[1], k: s[2], keep: 1, scaled: 20})
	}
	for _, k := range sparse24Goldens() { // more panels than stages
		add(sparseProduct{kernel: k, t: 9, n: 20, k: 700, keep: 1})
	}
	add(sparseProduct{kernel: sparse24Main, t: 9, n: 20, k: 70, keep: 0})
	return all
}

// TestSparse24Invariance: rows have the same bits alone as among others.
func TestSparse24Invariance(t *testing.T) {
	p := sparseProduct{kernel: sparse24Main, t: 21, n: 72, k: 200, keep: 1}.filled()
	checkInvariance(t, goldenModule(t, sparse24Main), p)
}

// TestSparse24Traffic: see checkTraffic. A product has 8 rows, 16 outputs and 32 inputs.
func TestSparse24Traffic(t *testing.T) {
	for _, k := range []launch.Kernel{sparse24Main, sparse24Small} {
		p := sparseProduct{kernel: k, t: 2 * k.Value("BM"), n: 2 * k.Value("BN"), k: 320, keep: 1}.filled()
		_, c, err := p.counted(goldenModule(t, k), ptxsim.Options{Count: true})
		if err != nil {
			t.Fatal(k.Entry(), err)
		}
		checkTraffic(t, k, c, p.t/8*(p.n/16)*(p.k/32))
	}
}
