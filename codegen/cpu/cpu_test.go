package cpu

import (
	"slices"
	"testing"

	"etc/codegen"
	"etc/compiler/schedule"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// TestWeightsArePackedOnceForEachLayout: a matrix that is a table as well, as
// with tied embeddings, is kept twice; one in two products once.
func TestWeightsArePackedOnceForEachLayout(t *testing.T) {
	g := &ir.Graph{Name: "tied"}
	ids, offsets := g.NewInput("ids", ir.I32(ir.T)), g.NewInput("offsets", ir.I32(ir.Ends))
	values := make([]float32, 9*3)
	for i := range values {
		values[i] = float32(i)
	}
	w := g.NewWeight("w", tensor.FromFloat32s([]int{9, 3}, values))
	x := g.New(ir.Embed, &ir.EmbedAttrs{}, "", ids, nil, nil, w, nil, nil).Result()
	nll := g.New(ir.LinearNLL, nil, "", x, w, nil, ids, offsets)
	g.Outputs = []ir.Output{
		{Name: "nll", Value: nll.Results[0]},
		{Name: "logits", Value: g.New(ir.Linear, &ir.LinearAttrs{}, "", x, w).Result(), When: ir.OnDemand},
	}
	p := &plan.Plan{
		Model: plan.Model{Task: plan.CausalLM, MaxTokens: 4, VocabSize: 9}, MaxBatchTokens: 4,
	}
	q := &plan.Program{Target: "cpu:f32", Buckets: []plan.Bucket{{MaxTokens: 4}}}
	p.Add(q)
	var weights codegen.Packer
	if err := Generate(g, schedule.Make(g), q, &weights); err != nil {
		t.Fatal(err)
	}
	weights.Finish(p)
	if err := plan.Check(p); err != nil {
		t.Fatal(err)
	}
	var layouts []plan.Layout
	for _, w := range p.Weights {
		layouts = append(layouts, w.Layout)
	}
	if want := []plan.Layout{plan.RowMajor, plan.Panels}; !slices.Equal(layouts, want) {
		t.Errorf("weights in layouts %v, want %v", layouts, want)
	}
	if q.Steps[1].Results[1] != plan.Unused {
		t.Errorf("hit, which nothing reads, is buffer %d", q.Steps[1].Results[1])
	}
	if q.Steps[1].Reduction != (plan.Reduction{Instruction: "fma-f32"}) || q.Steps[0].Reduction != (plan.Reduction{}) {
		t.Errorf("reductions %v and %v", q.Steps[0].Reduction, q.Steps[1].Reduction)
	}
}
