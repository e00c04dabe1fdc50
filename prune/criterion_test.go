package prune_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etc/ir"
	"etc/prune"
)

// TestWhatCriteriaWeigh: of three kinds of inputs, of large weights and little
// variance, of small weights and much, and of a large mean with the least
// variance, each criterion lets another go first.
func TestWhatCriteriaWeigh(t *testing.T) {
	kinds := []struct{ weight, mean, deviation float64 }{{1, 10, 0.1}, {0.5, 0, 2}, {2, 0, 0.1}}
	g, stats := bertLike(48, 3, 48, 1), &prune.Statistics{}
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			_, k := shape(op)
			kind := func(j int) int { return j * len(kinds) / k }
			change(op.Arg("w"), func(x []float64) {
				for at := range x {
					x[at] = kinds[kind(at%k)].weight
				}
			})
			for j := range k { // a mean, and one input after the other off it
				row := make([]float32, k)
				for i := range row {
					row[i] = float32(kinds[kind(i)].mean)
				}
				mean := row[j]
				for _, sign := range []float32{1, -1} {
					row[j] = mean + sign*float32(kinds[kind(j)].deviation)
					stats.Add(op.Arg("w").WeightName(), slices.Clone(row))
				}
			}
		}
	}
	for criterion, first := range map[string]int{"magnitude": 1, "wanda": 2, "energy": 0, "flap": 0} {
		c, _ := fixed(t, g, stats, method(t, "elements:"+criterion), 0.3)
		for _, b := range blocksOf(c) {
			for _, op := range b.all {
				_, k := shape(op)
				zeros := 0
				for at, x := range values(op, "w") {
					if x == 0 {
						zeros++
						if kind := at % k * len(kinds) / k; kind != first {
							t.Fatalf("%s: %s: an input of kind %d goes, want %d", criterion, op.Arg("w").WeightName(), kind, first)
						}
					}
				}
				if zeros == 0 {
					t.Errorf("%s: %s: nothing goes", criterion, op.Arg("w").WeightName())
				}
			}
		}
	}
}

// TestWhatCriteriaRepair: the weights that stay, and the biases.
func TestWhatCriteriaRepair(t *testing.T) {
	g := bertLike(32, 2, 64, 1)
	stats, _ := mixedStatistics(rand.New(rand.NewPCG(1, 12)), g)
	for _, c := range []struct {
		criterion       string
		weights, biases bool
	}{{"obs", true, true}, {"energy", true, true}, {"magnitude", false, false}, {"wanda", false, false}, {"flap", false, true}} {
		pruned, _ := fixed(t, g, stats, method(t, "tiles:"+c.criterion), 0.3)
		after := blocksOf(pruned)
		for i, b := range blocksOf(g) {
			for j, op := range b.all {
				now := after[i].all[j]
				weights := differ(op, now, "w", func(x float64) bool { return x != 0 })
				biases := differ(op, now, "b", func(float64) bool { return true })
				if weights != c.weights || biases != c.biases {
					t.Errorf("%s: %s: weights that stay changed: %v, biases: %v", c.criterion, op.Arg("w").WeightName(), weights, biases)
				}
			}
		}
	}
}

// differ tells whether numbers that are compared differ.
func differ(before, after *ir.Op, name string, compared func(x float64) bool) bool {
	was := values(before, name)
	for i, x := range values(after, name) {
		if compared(x) && x != was[i] {
			return true
		}
	}
	return false
}

// TestSurgeonSeesDuplicates: the inputs of two of three tiles say the same, and
// weigh most. The surgeon takes one of them; by energy the third goes.
func TestSurgeonSeesDuplicates(t *testing.T) {
	const tile, tiles = 16, 3
	g, stats := bertLike(tile*tiles, tiles, tile*tiles, 1), &prune.Statistics{}
	rng := rand.New(rand.NewPCG(2, 12))
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			n, k := shape(op)
			change(op.Arg("w"), func(x []float64) {
				for i := range n {
					for j := range k {
						x[i*k+j] = []float64{3, 1, 2.9}[j/tile] * rng.NormFloat64()
					}
				}
			})
			for _, row := range normalRows(rng, 8*k, k) {
				copy(row[2*tile:], row[:tile])
				stats.Add(op.Arg("w").WeightName(), row)
			}
		}
	}
	for name, independent := range map[string]bool{"tiles:obs": false, "tiles:energy": true, "balanced-tiles:obs": false} {
		c, _ := fixed(t, g, stats, method(t, name), 0.3)
		for _, b := range blocksOf(c) {
			for _, op := range b.all {
				_, k := shape(op)
				for at, x := range values(op, "w") {
					if j := at % k / tile; x == 0 && (j == 1) != independent {
						t.Fatalf("%s: %s: tile %d goes", name, op.Arg("w").WeightName(), j)
					}
				}
			}
		}
	}
}
