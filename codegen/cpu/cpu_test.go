package cpu

import (
	"slices"
	"strings"
	"testing"

	"etc/compiler/schedule"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// TestEveryKernelOperatorHasAStep, under its own name.
func TestEveryKernelOperatorHasAStep(t *testing.T) {
	for _, k := range ir.Kinds() {
		op, ok := Op(k)
		if want := k.Is(ir.Kernel) && k != ir.Input && k != ir.Weight; ok != want {
			t.Errorf("%v has a step: %v, want %v", k, ok, want)
		} else if ok && op.String() != k.String() {
			t.Errorf("%v is step %v", k, op)
		} else if ok {
			for i, name := range op.Operands() {
				if name = strings.TrimSuffix(name, "?"); name != ir.OperandName(k, i) {
					t.Errorf("%v: operand %d is %q, the step's is %q", k, i, ir.OperandName(k, i), name)
				}
			}
		}
	}
}

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
		Target: "cpu:f32", Model: plan.Model{Task: plan.CausalLM, MaxTokens: 4, VocabSize: 9},
		Buckets: []plan.Bucket{{MaxTokens: 4}}, MaxBatchTokens: 4,
	}
	Generate(g, schedule.Make(g), p)
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
	if p.Steps[1].Results[1] != plan.Unused {
		t.Errorf("hit, which nothing reads, is buffer %d", p.Steps[1].Results[1])
	}
	if p.Steps[1].Reduction != FMA || p.Steps[0].Reduction != (plan.Reduction{}) {
		t.Errorf("reductions %v and %v", p.Steps[0].Reduction, p.Steps[1].Reduction)
	}
}
