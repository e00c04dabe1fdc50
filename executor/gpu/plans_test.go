package gpu

import (
	"math/rand/v2"
	"testing"

	"etc/codegen"
	"etc/codegen/cuda"
	"etc/compiler"
	"etc/compiler/cost"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/executor"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// open is a random checkpoint of a class.
func open(t *testing.T, class string, seed uint64) *checkpoint.Checkpoint {
	t.Helper()
	o := frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 12, Inner: 40, Zeros: true}
	c, err := checkpoint.Open(frontendtest.Random(t, rand.New(rand.NewPCG(seed, 21)), class, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// compiled is a plan of sources of such a checkpoint.
func compiled(t *testing.T, class string, o compiler.Options) *plan.Plan {
	t.Helper()
	r, err := compiler.Compile(open(t, class, 1), o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Plan
}

// imported is the graph of such a checkpoint.
func imported(t *testing.T, class string) (*ir.Graph, plan.Model) {
	t.Helper()
	i, err := frontend.Import(open(t, class, 2))
	if err != nil {
		t.Fatal(err)
	}
	return i.Graph, i.Model
}

// drawn is a random graph, and a model for it.
func drawn(seed uint64) (*ir.Graph, plan.Model) {
	g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 12)))
	m := plan.Model{Architecture: g.Name, MaxTokens: frontendtest.MaxLength, Task: plan.Embedding}
	for _, op := range g.Ops {
		if op.Kind == ir.Embed {
			m.VocabSize = int(op.Arg("word").Type.Rows())
			if types := op.Arg("type"); types != nil {
				m.TypeVocabSize = int(types.Type.Rows())
			}
		}
	}
	for _, o := range g.Outputs {
		switch {
		case o.Name == "nll":
			m.Task = plan.CausalLM
		case o.Name == "logits" && o.When == ir.Always:
			m.Task = plan.Classification
			m.Labels = make([]string, o.Value.Type.Width())
			for i := range m.Labels {
				m.Labels[i] = string(rune('a' + i))
			}
		}
	}
	return g, m
}

// forced is a program of sources whose products have the form, and whose
// attention is the operator, that are given.
func forced(t *testing.T, g *ir.Graph, m plan.Model, form, attention ir.Kind, precompute bool) *plan.Program {
	t.Helper()
	pass.Run(g, transform.Passes(transform.Options{
		HeadMultiple:   cuda.HeadMultiple,
		PrecomputePays: func(*ir.AttentionAttrs, int, int) bool { return precompute },
		LinearForm: func(w sparse.Matrix) ir.Kind {
			if form == ir.Sparse24Linear && !w.NM24 {
				return ir.Linear
			}
			return form
		},
	}), transform.Lowered, nil)
	model := cost.A100
	model.DType, model.Tuning = "bf16", cost.NewTuning()
	buckets := []int{40, m.MaxTokens}
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.AttentionAttrs); ok {
			for _, n := range buckets {
				for _, e := range model.Attention(a, n) {
					if e.Kind == attention {
						model.Tuning.Entries[cost.AttentionKey(model.SM, model.DType, a, n)] = cost.Measured{Use: e.Variant(), Micros: 1}
					}
				}
			}
		}
	}
	whole := &plan.Plan{Model: m, MaxBatchTokens: 64}
	p := &plan.Program{Target: "sm_80:bf16"}
	var weights codegen.Packer
	var kernels cuda.Generator
	if _, err := kernels.Generate(g, schedule.MakeStored(g, cuda.Storage(g, tensor.BF16)), p, &model, tensor.BF16, buckets, &weights); err != nil {
		t.Fatal(err)
	}
	weights.Finish(whole)
	whole.Add(p)
	if err := kernels.Finish(whole, nil); err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(whole); err != nil {
		t.Fatal(err)
	}
	return p
}

// batchOf is rows of those lengths, with all outputs wanted.
func batchOf(p *plan.Program, bucket int, lengths ...int) *executor.Batch {
	b := &executor.Batch{Bucket: bucket, Wanted: everything(p), Offsets: []int32{0}, Results: make([][]float32, len(p.Outputs))}
	for _, n := range lengths {
		for i := range n {
			b.IDs = append(b.IDs, int32((i+n)%p.Model.VocabSize))
			b.Types = append(b.Types, 0)
			b.Positions = append(b.Positions, int32(p.Model.PositionOffset+i))
		}
		b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	}
	return b
}

func everything(p *plan.Program) uint64 { return 1<<len(p.Outputs) - 1 }
