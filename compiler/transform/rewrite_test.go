package transform_test

import (
	"testing"

	"etc/compiler/transform"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// TestRewrites shows what each pass does to small graphs, and that it does
// nothing where it must not: testdata/PASS.txtar.
func TestRewrites(t *testing.T) {
	always := transform.Options{
		PrecomputePays: func(a *ir.AttentionAttrs, k, n int) bool { return true },
		LinearForm:     everything.LinearForm,
		HeadMultiple:   2,
	}
	for _, p := range transform.Passes(always) {
		if p.Name == "merge-weights" {
			continue // text does not show memory: TestMergeWeights
		}
		t.Run(p.Name, func(t *testing.T) { irtest.Rewrite(t, "testdata/"+p.Name+".txtar", p) })
	}
}

func TestMergeWeights(t *testing.T) {
	data := tensor.FromFloat32s([]int{2, 2}, []float32{1, 2, 3, 4})
	copied := tensor.FromFloat32s([]int{2, 2}, []float32{1, 2, 3, 4})
	g := &ir.Graph{Name: "g"}
	y := g.NewInput("x0", ir.F32(ir.T, 2))
	for _, w := range []tensor.Tensor{data, data, copied, {DType: tensor.F32, Shape: []int{2, 2}, Data: data.Data}} {
		y = g.New(ir.Linear, &ir.LinearAttrs{}, "", y, g.NewWeight("w", w)).Result()
	}
	g.Outputs = []ir.Output{{Name: "y", Value: y}}
	before := g.Clone()
	if n := transform.MergeWeights.Run(g); n != 2 {
		t.Errorf("%d merged, want 2 of the 3 with the same memory", n)
	}
	irtest.Equivalent(t, before, g, 1)
	if err := ir.Verify(g, ir.Model); err != nil {
		t.Error(err)
	}
}
