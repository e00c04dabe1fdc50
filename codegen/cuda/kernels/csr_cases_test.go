package kernels

import (
	"testing"

	"etc/formats/plan/launch"
)

var (
	csrMain = launch.Make("csr_linear", map[string]int{"ACT": 1})
	csrWide = launch.Make("csr_linear", map[string]int{"DTYPE": launch.BF16, "R32": 1, "OUT32": 1})
)

func csrGoldens() []launch.Kernel { return []launch.Kernel{csrMain, csrWide} }

func csrCases() []testCase {
	var all []testCase
	for i, s := range sparseShapes([]int{1, 7, 8, 9, 31, 33}, []int{31, 32, 33, 1, 70}, []int{1, 7, 64, 200, 33}) {
		all = append(all, sparseProduct{kernel: csrMain, t: s[0], n: s[1], k: s[2], keep: 0.3, bare: i%3 == 2, scaled: i % 2 * s[1] / 2}.testCase(),
			sparseProduct{kernel: csrWide, t: s[0], n: s[1], k: s[2], keep: 0.1, fewer: i%2 == 1, scaled: 1}.testCase())
	}
	for t := 1; t < 18; t++ { // every count of rows that a warp has left, with a residual and without
		for _, bare := range []bool{false, true} {
			all = append(all, sparseProduct{kernel: csrMain, t: t, n: 3, k: 5, keep: 0.7, bare: bare}.testCase(),
				sparseProduct{kernel: csrWide, t: t, n: 3, k: 5, keep: 0.7, bare: bare, scaled: 2}.testCase())
		}
	}
	return append(all, sparseProduct{kernel: csrMain, t: 5, n: 40, k: 60, keep: 0}.testCase(), sparseProduct{kernel: csrMain, t: 5, n: 40, k: 60, keep: 1}.testCase())
}

// TestCSRInvariance: rows have the same bits alone as among others.
func TestCSRInvariance(t *testing.T) {
	p := sparseProduct{kernel: csrWide, t: 21, n: 40, k: 100, keep: 0.2}.filled()
	checkInvariance(t, goldenModule(t, csrWide), p)
}
