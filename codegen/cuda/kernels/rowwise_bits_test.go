package kernels

import (
	"bytes"
	"testing"

	"etc/executor/ptxsim"
)

// TestRowwiseBits: a row of a batch has the same bits alone, among other rows,
// and in either order of warps and blocks; with rows read once and read again,
// condensed and whole. Sums of f16 far from zero are exact, those of f32 are
// not and show their order even in f16.
func TestRowwiseBits(t *testing.T) {
	for _, k := range rowwiseGoldens() {
		m := goldenModule(t, k)
		for _, s := range []rowShape{
			{lengths: []int{1, 4, 2, 1}, width: 200, mean: 1},
			{lengths: []int{2, 1, 3}, width: 1043, columns: 900, mean: -3, without: "norm type"},
			{lengths: []int{2, 1, 3}, width: 1043, columns: 900, mean: -3, without: "sum"},
			{lengths: []int{1, 2}, width: 1043, mean: 100, without: "sum"},
		} {
			p := newRowProblem(k, s)
			for _, o := range []ptxsim.Options{{Unchecked: true}, {Unchecked: true, Reverse: true}} {
				bits := func(p *rowProblem) []byte {
					b, _, err := p.run(m, o)
					if err != nil {
						t.Fatal(k.Entry(), s, err)
					}
					return b
				}
				var alone []byte
				parts := len(rowResults(k.Family))
				if s.without != "" {
					parts = 1
				}
				for part := range parts { // each result is whole before the next
					for row := range s.lengths {
						b := bits(p.only(row, row+1))
						alone = append(alone, b[len(b)/parts*part:len(b)/parts*(part+1)]...)
					}
				}
				if parts == 2 && k.Value("S32") != k.Value("N32") {
					continue // halves are not the results: the other shapes have one each
				}
				if all := bits(p); !bytes.Equal(all, alone) {
					t.Errorf("%s, %v, reverse %t: the bits of a row change with its batch", k.Entry(), s, o.Reverse)
				}
			}
		}
	}
}

// TestRowwiseTraffic: what every case is held to (checkTraffic), of widths with
// whole pieces; and kernels that sum do so in shared memory.
func TestRowwiseTraffic(t *testing.T) {
	for _, k := range rowwiseGoldens() {
		for _, width := range []int{8, 24, 200, 256, 768, 1024, 1032, 2056} {
			p := newRowProblem(k, rowShape{lengths: []int{2, 3}, width: width, capacity: 8})
			_, c, err := p.run(goldenModule(t, k), ptxsim.Options{})
			if err != nil {
				t.Errorf("%s, width %d: %v", k.Entry(), width, err)
			}
			if sums := k.Shared() > 0; sums != (c.SharedWavefronts > 0) || c.Sectors == 0 {
				t.Errorf("%s, width %d: %d passes over shared memory, %d sectors", k.Entry(), width, c.SharedWavefronts, c.Sectors)
			}
		}
	}
}
