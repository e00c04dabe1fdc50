package main

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// integerTargets are the CPU targets with products in integers.
var integerTargets = []string{"cpu:int16", "cpu:int8"}

// flipTolerance is what a plan in integers may be off by its meaning: where a
// value stands near the middle between two integers, float32 and float64 may
// round it to different ones, and layers that follow carry one unit of that on.
func flipTolerance(d tensor.DType) func(largest float64) float64 {
	unit := 2e-2
	if d == tensor.I16 {
		unit = 2e-4
	}
	return func(largest float64) float64 { return 1e-4 + unit*largest }
}

// TestIntegerPlansAreInterp: plans in integers mean what ir/interp says of
// products in integers, in every form and at every level.
func TestIntegerPlansAreInterp(t *testing.T) {
	seen := map[plan.Layout]int{}
	for seed := range seeds(60) {
		for _, target := range integerTargets {
			rng := rand.New(rand.NewPCG(seed, 8))
			g := irtest.RandomGraph(rng)
			m := modelOf(g)
			if seed%2 == 1 {
				imported, err := frontend.Import(randomCheckpoint(t, rng, frontendtest.Classes[int(seed/2)%len(frontendtest.Classes)], frontendtest.RandomOptions(rng)))
				if err != nil {
					t.Fatal(err)
				}
				g, m = imported.Graph, imported.Model
			}
			s := forcedFor(t, rng, g, m, target)
			s.meaning = s.meaning.Quantised(plan.Elem(target))
			for _, w := range s.plan.Weights {
				seen[w.Layout]++
			}
			for _, level := range levels() {
				x := newExecutor(t, s.plan, level, 1+rng.IntN(3), executor.Options{})
				s.compareOn(t, rng, x, flipTolerance(plan.Elem(target)), false)
			}
		}
	}
	if seen[plan.IntPanels] == 0 || seen[plan.IntTiles] == 0 {
		t.Errorf("layouts %v: not all forms of integers were reached", seen)
	}
}

// TestIntegerBitsAtEveryLevel: a product in integers of the same rows gives the
// same bits at every level, portable Go among them, and its rows, which are
// copied from a table, are the same. Sizes leave remainders of every kind.
func TestIntegerBitsAtEveryLevel(t *testing.T) {
	const vocabulary, width = 50, 83
	for _, target := range integerTargets {
		rng := rand.New(rand.NewPCG(9, 9))
		g := &ir.Graph{Name: "product"}
		offsets, ids := g.NewInput("offsets", ir.I32(ir.Ends)), g.NewInput("ids", ir.I32(ir.T))
		x := g.New(ir.Embed, &ir.EmbedAttrs{}, "embeddings", ids, nil, nil, randomWeight(rng, g, "word", vocabulary, width), nil, nil).Result()
		y := g.New(ir.Linear, &ir.LinearAttrs{}, "product", x, randomWeight(rng, g, "w", 117, width), randomWeight(rng, g, "b", 117)).Result()
		g.Outputs = []ir.Output{
			{Name: "embedding", Value: g.New(ir.SelectRows, &ir.SelectRowsAttrs{Rows: ir.FirstRows}, "head", y, offsets).Result()},
			{Name: "hidden", Value: y, When: ir.OnDemand},
		}
		r, err := compiler.Lower(g, modelOf(g), compiler.Options{Targets: []string{target}})
		if err != nil {
			t.Fatal(err)
		}
		var list [][]int32
		for n := 1; n < 20; n++ {
			row, _ := randomRow(rng, &r.Plan.Model, n)
			list = append(list, row)
		}
		var want [][]float32
		for _, level := range levels() {
			got, err := newExecutor(t, r.Plan.Programs[0], level, 2, executor.Options{}).Forward(list, nil, "embedding", "hidden")
			if err != nil {
				t.Fatal(err)
			}
			if level == kernel.Generic {
				want = got
			}
			if !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) || len(got[1]) != 190*117 {
				t.Errorf("%s: %v gives other bits than %v", target, level, kernel.Generic)
			}
		}
	}
}

// TestWideProductsOfInt8AreRefused: their sums would leave int32.
func TestWideProductsOfInt8AreRefused(t *testing.T) {
	const width = 1<<17 + 1
	g := &ir.Graph{Name: "wide"}
	offsets, ids := g.NewInput("offsets", ir.I32(ir.Ends)), g.NewInput("ids", ir.I32(ir.T))
	ones := make([]float32, width)
	weight := func(name string) *ir.Value { return g.NewWeight(name, tensor.FromFloat32s([]int{1, width}, ones)) }
	for i := range ones {
		ones[i] = 1
	}
	x := g.New(ir.Embed, &ir.EmbedAttrs{}, "embeddings", ids, nil, nil, weight("word"), nil, nil).Result()
	y := g.New(ir.Linear, &ir.LinearAttrs{}, "product", x, weight("w")).Result()
	g.Outputs = []ir.Output{{Name: "embedding", Value: g.New(ir.Pool, &ir.PoolAttrs{}, "head", y, offsets).Result()}}
	for target, refused := range map[string]bool{"cpu:int16": false, "cpu:int8": true} {
		_, err := compiler.Lower(g, modelOf(g), compiler.Options{Targets: []string{target}})
		if (err != nil) != refused {
			t.Errorf("%s: %v, want refused %v", target, err, refused)
		}
	}
}

// TestLevelsThatAreNotThere: a level that the machine lacks is exit 6, never
// another one in its place; those it has run.
func TestLevelsThatAreNotThere(t *testing.T) {
	path := compileTiny(t)
	for l := kernel.Generic; l <= kernel.AVX512VNNI; l++ {
		want := 0
		if !kernel.Supported(l) {
			want = 6
		}
		wantExit(t, want, "run", path, "--cpu-level", l.String(), "--input", "-")
	}
}
