package kernels

import (
	"fmt"
	"maps"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
)

// A linearEntry is a kernel of linear and what it is tried on.
type linearEntry struct {
	tile   int            // in launch.LinearTiles
	values map[string]int // the other constants that are not zero
	sweep  int            // how many shapes run through the residues of rows, N and K
}

// linearTable has each tile, each activation, each storage type and each form
// of operands at least once.
var linearTable = []linearEntry{
	{0, nil, 3},
	{1, nil, 4},
	{2, nil, 6},
	{3, nil, 16},
	{4, nil, 24},
	{5, nil, 40},
	{6, nil, 80},
	{2, map[string]int{"ACT": int(ir.GELU)}, 3},
	{4, map[string]int{"ACT": int(ir.GELUTanh)}, 8},
	{5, map[string]int{"ACT": int(ir.ReLU), "DTYPE": launch.BF16}, 16},
	{6, map[string]int{"ACT": int(ir.Tanh), "OUT32": 1}, 24},
	{0, map[string]int{"ACT": int(ir.GELU), "DTYPE": launch.BF16}, 3},
	{1, map[string]int{"R32": 1, "OUT32": 1}, 3},
	{3, map[string]int{"DTYPE": launch.BF16}, 8},
	{4, map[string]int{"R32": 1, "OUT32": 1}, 16},
	{6, map[string]int{"R32": 1, "DTYPE": launch.BF16}, 16},
	{5, map[string]int{"OUT32": 1}, 8},
	{3, map[string]int{"GATHER": 1, "ACT": int(ir.GELU)}, 4},
	{6, map[string]int{"GATHER": 1, "R32": 1, "OUT32": 1}, 16},
}

func (e linearEntry) kernel() launch.Kernel {
	values := launch.LinearTiles()[e.tile].Constants()
	maps.Copy(values, e.values)
	return launch.Make("linear", values)
}

// shapes are whole tiles first: their K fills every stage more than once. Then
// the steps of rows, N and K are prime to the tile, so that the shapes meet
// every residue of 8, 16 and more of each, in changing pairs.
func (e linearEntry) shapes() []linearShape {
	t := launch.LinearTiles()[e.tile]
	all := []linearShape{
		{rows: 2 * t.BM, n: t.BN, k: t.BK * (t.Stages + 2), scaled: t.BN / 2, width: t.BK*(t.Stages+2) + 40},
		{rows: t.BM, n: 2 * t.BN, k: t.BK, bare: true},
		{rows: 9*t.BM + 1, n: t.BN + 8, k: 8, scaled: 8}, // row tiles of two groups, the second not full
		// The row and the feature past the last are the first that a thread copies, also in a stage that follows the first.
		{rows: t.BM + 4, n: t.BN + 3, k: t.BK*(t.Stages+1) + 24, scaled: 5, width: t.BK*(t.Stages+1) + 50},
		{rows: 23, n: t.BN, k: 8, scaled: t.BN/2 + 2}, // two of a thread's features are scaled, the others are not
		{rows: 9, n: t.BN/2 + 1, k: t.BK, bare: true}, // one of them is there
	}
	// Every turn of a block's copies meets the row and the feature past the last, in a stage that follows the first; K ends within eight.
	down := t.BM / t.WM * (t.BN / t.WN) * 32 / (t.BK / 8)
	for at := down; at < max(t.BM, t.BN); at += down {
		k := t.BK*(t.Stages-1) + 21
		all = append(all, linearShape{rows: at%t.BM + 4, n: at%t.BN + 3, k: k, scaled: 2, width: k + 30, bare: at/down%2 == 1})
	}
	// Each count of features behind the last whole eight, some of them scaled; as many scaled of a whole tile.
	for more := 1; more < 8; more++ {
		all = append(all, linearShape{rows: 3, n: t.BN, k: 8, scaled: more})
		for _, bare := range []bool{false, true} {
			all = append(all, linearShape{rows: 3, n: 8 + more, k: 8, scaled: 10 - more, bare: bare})
		}
	}
	for i := range e.sweep {
		all = append(all, linearShape{
			rows:     1 + i*(t.BM*5/8+1)%(t.BM*5/4),
			n:        1 + i*(t.BN*3/8+1)%(t.BN*3/2),
			k:        1 + i*(t.BK*11/8+5)%(t.BK*(t.Stages+1)),
			capacity: 3 * t.BM,
			bare:     i%5 == 4,
			scaled:   i * 7 % t.BN,
			width:    1 + i*29%(t.BK*(t.Stages+2)),
		})
	}
	for i := range all {
		all[i].scaled = min(all[i].scaled, all[i].n)
	}
	return all
}

// linearGoldens are the kernels of linear whose PTX is in testdata.
func linearGoldens() []launch.Kernel {
	var all []launch.Kernel
	for _, e := range linearTable {
		all = append(all, e.kernel())
	}
	return all
}

// linearCases are every kernel of the table on each of its shapes.
func linearCases() []testCase {
	var all []testCase
	for _, e := range linearTable {
		k := e.kernel()
		for _, s := range e.shapes() {
			all = append(all, testCase{
				Name:   fmt.Sprintf("%s/%v", k.Entry(), s),
				Kernel: k,
				Run: func(m *ptxsim.Module, o ptxsim.Options) error {
					_, _, err := linearNumbers(k, s).run(m, o)
					return err
				},
			})
		}
	}
	return all
}
