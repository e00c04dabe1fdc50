package kernels

import (
	"fmt"
	"slices"
	"strings"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// A rowShape is what one run of a rowwise kernel is tried on.
type rowShape struct {
	lengths  []int // tokens of each row of the batch
	width    int
	columns  int // of x, scattered over the width by skip_layernorm; 0: all
	draw     rowDraw
	mean     float64 // of activations and tables
	spread   float64 // their deviation; 0: 1
	eps      float64 // of norms; 0: 1e-12, the smallest that models have
	without  string  // operands and results that are absent: position type bias sum norm
	capacity int     // rows that the grid is made for; 0: those there are
	left     int     // rows at the end that the count leaves out
}

// A rowDraw is how numbers are drawn.
type rowDraw uint8

const (
	normal   rowDraw = iota
	large            // up to the largest that the results of f16 hold
	tiny             // numbers too small to be normalised, down to the smallest
	constant         // one number to a row: no variance
	zeros
	heavy // the last column counts more than all others
)

func (s rowShape) String() string {
	return fmt.Sprintf("%vx%d of %d draw %d mean %g spread %g eps %g without %q left %d",
		s.lengths, s.width, s.columns, s.draw, s.mean, s.spread, s.eps, s.without, s.left)
}

func (s rowShape) has(name string) bool { return !slices.Contains(strings.Fields(s.without), name) }

// rowShapes leave every remainder of what threads and vectors take, rows of
// one token and of many, and numbers that a careless norm would lose.
func rowShapes() []rowShape {
	all := []rowShape{
		{lengths: []int{1}, width: 1},
		{lengths: []int{2, 1, 3}, width: 7, without: "position type bias", mean: 3},
		{lengths: []int{1, 1}, width: 8, columns: 3},
		{lengths: []int{4, 1}, width: 31, capacity: 64},
		{lengths: []int{1, 5}, width: 33, columns: 32, mean: -2, without: "sum"},
		{lengths: []int{3}, width: 127, without: "position norm"},
		{lengths: []int{2, 2}, width: 128, columns: 64, without: "type bias"},
		{lengths: []int{7, 1, 1}, width: 200, columns: 199, capacity: 16},
		{lengths: []int{1, 3}, width: 384, columns: 1},
		{lengths: []int{2, 1}, width: 768, mean: 0.5, columns: 700},
		{lengths: []int{1}, width: 1040, mean: 10, columns: 1024},
		{lengths: []int{150, 1}, width: 5},                     // tokens of a pool
		{lengths: []int{40}, width: 12, mean: 3},               //
		{lengths: []int{1, 2, 1, 1, 3, 1, 1, 1, 2}, width: 12}, // rows of a batch for three blocks
		{lengths: []int{1}, width: 600, columns: 597},          // columns missing inside
		{lengths: []int{2}, width: 1100, columns: 550},         // and in what is read again
		{lengths: []int{1}, width: 2600, columns: 5},           // none behind the fifth
		{lengths: []int{1}, width: 128, columns: 2},            // lanes behind both

		{lengths: []int{1, 2}, width: 129, mean: 100},
		{lengths: []int{2}, width: 256, mean: -100, without: "position type bias"},
		{lengths: []int{1}, width: 1540, mean: 100},
		{lengths: []int{2}, width: 70, mean: 1e4, spread: 100},
		{lengths: []int{1, 1}, width: 300, spread: 6e3},
		{lengths: []int{1}, width: 1030, mean: 1.5e4, spread: 200},
		{lengths: []int{2, 1}, width: 140, draw: large},
		{lengths: []int{2, 3}, width: 45, draw: tiny},
		{lengths: []int{2}, width: 45, draw: tiny, eps: 1e-5},
		{lengths: []int{3}, width: 2, draw: tiny},    // lengths near the smallest f16
		{lengths: []int{3}, width: 5, spread: 1e-12}, // and near the shortest that is made 1
		{lengths: []int{1, 1}, width: 96, draw: constant, mean: 3},
		{lengths: []int{1, 1}, width: 515, draw: constant, eps: 1e-5},
		{lengths: []int{1, 2}, width: 1025, draw: zeros},
		{lengths: []int{3}, width: 250, spread: 1e-3, eps: 1e-6, without: "bias"}, // eps is half of the denominator
		{lengths: []int{1, 1}, width: 260, spread: 1e-6},
	}
	for left := range 4 { // counts of 0 to 3
		all = append(all, rowShape{lengths: []int{1, 1, 1}, width: 20, left: left, capacity: 5})
	}
	for _, middle := range []int{128, 512, 1024} {
		for width := middle - 4; width < middle+5; width++ {
			all = append(all, rowShape{lengths: []int{1}, width: width, mean: 1})
		}
	}
	for _, width := range []int{1029, 1030, 1537, 2048, 2600, 3077, 4096} {
		all = append(all, rowShape{lengths: []int{1}, width: width, mean: 1})
	}
	for k := range 8 { // the pieces that a lane keeps, each cut to one, two and three columns
		for cut := 1; cut < 4; cut++ {
			all = append(all, rowShape{lengths: []int{1}, width: 128*k + 64 + cut, draw: heavy})
		}
	}
	// Of spans that are not kept, one, two, three and four, the last of them cut or not.
	for _, width := range []int{1025, 1026, 1153, 1154, 1276, 1279, 1301, 1411} {
		all = append(all, rowShape{lengths: []int{1}, width: width, draw: heavy})
	}
	return all
}

// rowwiseGoldens are the kernels of each operator that are tried: both storage
// types, and every flag on and off.
func rowwiseGoldens() []launch.Kernel {
	var all []launch.Kernel
	for family, sets := range map[string][]map[string]int{
		"embed":           {{}, {"OUT32": 1}, {"DTYPE": launch.BF16}},
		"embed_layernorm": {{}, {"OUT32": 1}, {"DTYPE": launch.BF16}},
		"layernorm":       {{}, {"X32": 1}, {"OUT32": 1}, {"DTYPE": launch.BF16, "X32": 1}},
		"skip_layernorm":  {{}, {"R32": 1, "S32": 1}, {"N32": 1, "S32": 1}, {"X32": 1, "R32": 1}, {"DTYPE": launch.BF16}},
		"select_rows":     {{}, {"LAST": 1}, {"X32": 1}, {"X32": 1, "OUT32": 1, "LAST": 1}, {"DTYPE": launch.BF16, "OUT32": 1}},
		"pool":            {{}, {"OUT32": 1}, {"X32": 1, "OUT32": 1}, {"DTYPE": launch.BF16, "OUT32": 1}},
		"normalize":       {{"X32": 1, "OUT32": 1}, {}, {"DTYPE": launch.BF16}},
	} {
		for _, constants := range sets {
			all = append(all, launch.Make(family, constants))
		}
	}
	slices.SortFunc(all, func(a, b launch.Kernel) int { return strings.Compare(a.Entry(), b.Entry()) })
	return all
}

// rowwiseCases are every kernel on every shape.
func rowwiseCases() []testCase {
	var all []testCase
	for _, k := range rowwiseGoldens() {
		for _, s := range rowShapes() {
			all = append(all, testCase{k.Entry() + "/" + s.String(), k, func(m *ptxsim.Module, o ptxsim.Options) error {
				_, _, err := newRowProblem(k, s).run(m, o)
				return err
			}})
		}
	}
	return all
}
