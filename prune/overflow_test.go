package prune_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/prune"
)

// allMethods are all structures by all criteria.
func allMethods(t *testing.T) []prune.Method {
	t.Helper()
	var all []prune.Method
	for _, m := range prune.Methods() {
		for _, c := range prune.Criteria {
			all = append(all, method(t, m.Name+":"+c.Name))
		}
	}
	return all
}

var notFinite = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}

// eachProduct visits the products of the encoder blocks of g.
func eachProduct(g *ir.Graph, visit func(name string, width int)) {
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			_, k := shape(op)
			visit(op.Arg("w").WeightName(), k)
		}
	}
}

// normalRows are inputs of a product.
func normalRows(rng *rand.Rand, count, width int) [][]float32 {
	rows := make([][]float32, count)
	for i := range rows {
		rows[i] = make([]float32, width)
		for j := range rows[i] {
			rows[i][j] = float32(rng.NormFloat64())
		}
	}
	return rows
}

// normalStatistics are those of independent inputs of every product of g, of
// which bad changes one.
func normalStatistics(g *ir.Graph, bad func(name string, rows [][]float32)) *prune.Statistics {
	rng, stats := rand.New(rand.NewPCG(1, 9)), &prune.Statistics{}
	eachProduct(g, func(name string, width int) {
		rows := normalRows(rng, 2*width, width)
		bad(name, rows)
		for _, row := range rows {
			stats.Add(name, row)
		}
	})
	return stats
}

func nothingBad(string, [][]float32) {}

// TestOverflowInStatistics: by no method is anything pruned for inputs that
// are no numbers, in the first of the rows or in the last.
func TestOverflowInStatistics(t *testing.T) {
	g := bertLike(32, 2, 64, 1)
	before := bytesOf(g)
	var names []string
	eachProduct(g, func(name string, _ int) { names = append(names, name) })
	for i, bad := range notFinite {
		for j, product := range names {
			stats := normalStatistics(g, func(name string, rows [][]float32) {
				if name == product {
					rows[(i+j)%2*(len(rows)-1)][5] = bad
				}
			})
			for _, m := range allMethods(t) {
				_, err := prune.Fixed(g, stats, m, 0.2, nil)
				checkFault(t, err, fault.Corrupt, fmt.Sprintf("input 5 of %q became", product))
			}
		}
	}
	if string(bytesOf(g)) != string(before) {
		t.Error("the graph changed")
	}
}

// shower is a Calibrate of a few batches, of which bad changes some.
func shower(bad func(dense bool, name string, rows [][]float32)) prune.Calibrate {
	return func(g *ir.Graph, p *prune.Pass) error {
		rng := rand.New(rand.NewPCG(2, 9))
		for range 6 {
			for _, dense := range []bool{false, true} {
				eachProduct(g, func(name string, width int) {
					if p.Wants(name, width) {
						rows := normalRows(rng, 40, width)
						bad(dense, name, rows)
						p.See(dense, name, width, len(rows), func(i int) []float32 { return rows[i] })
					}
				})
			}
			if err := p.End(); err != nil {
				return err
			}
		}
		return nil
	}
}

// rebuilding is a Rebuild of a shower, in which all outputs do the same damage.
func rebuilding(bad func(dense bool, name string, rows [][]float32)) *prune.Rebuild {
	return &prune.Rebuild{Calibrate: shower(bad), Damage: func(*ir.Graph) (float64, error) { return 1, nil }}
}

// TestOverflowInAPass: nor is anything repaired by what a pruned model, or the
// dense one beside it, shows of them.
func TestOverflowInAPass(t *testing.T) {
	g := bertLike(32, 2, 64, 1)
	stats := normalStatistics(g, nothingBad)
	looks := 0
	for _, m := range allMethods(t) {
		wanted := map[string]bool{}
		if _, err := prune.Fixed(g.Clone(), stats, m, 0.1, rebuilding(func(_ bool, name string, _ [][]float32) { wanted[name] = true })); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		for _, product := range slices.Sorted(maps.Keys(wanted)) {
			bad, inDense := notFinite[looks%3], looks%2 == 0
			looks++
			_, err := prune.Fixed(g.Clone(), stats, m, 0.1, rebuilding(func(dense bool, name string, rows [][]float32) {
				if name == product && dense == inDense {
					rows[7][5] = bad
				}
			}))
			checkFault(t, err, fault.Corrupt, fmt.Sprintf("input 5 of %q became %v", product, bad))
		}
	}
	if looks < 40 {
		t.Errorf("%d products were wanted: the test shows little", looks)
	}
}
