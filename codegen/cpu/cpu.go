// Package cpu turns a scheduled graph into the steps and packed weights that
// executor/cpu runs.
//
// A schedule and the choices of the cost model enter; Weights, Data, Buffers,
// Steps and Outputs of a plan leave. Every kernel operator becomes one step;
// kernels themselves are fixed and live in executor/cpu/kernel, so no code is
// generated here. A weight is packed once for each layout it is read in.
package cpu

import (
	"fmt"

	"etc/compiler/schedule"
	"etc/formats/plan"
	"etc/ir"
)

// FMA is the reduction signature of every float32 product on the CPU: one
// fused multiply-add an input, ascending, on top of the bias.
var FMA = plan.Reduction{Instruction: "fma-f32"}

// ops gives the plan operator of each kernel operator. Codegen takes an
// operator only if it is here, which a test holds against ir.Kinds.
var ops = map[ir.Kind]plan.Op{
	ir.Embed: plan.Embed, ir.EmbedLayerNorm: plan.EmbedLayerNorm,
	ir.LayerNorm: plan.LayerNorm, ir.SkipLayerNorm: plan.SkipLayerNorm,
	ir.Linear: plan.Linear, ir.BlockSparseLinear: plan.BlockSparseLinear,
	ir.CSRLinear: plan.CSRLinear, ir.Sparse24Linear: plan.Sparse24Linear,
	ir.OTFAttention: plan.OTFAttention, ir.PartialOTFAttention: plan.PartialOTFAttention,
	ir.FlashAttention: plan.FlashAttention, ir.VOAttention: plan.VOAttention,
	ir.SelectRows: plan.SelectRows, ir.Pool: plan.Pool, ir.Normalize: plan.Normalize,
	ir.LinearNLL: plan.LinearNLL,
}

// Op is the plan operator of a kernel operator.
func Op(k ir.Kind) (plan.Op, bool) {
	op, ok := ops[k]
	return op, ok
}

// Generate fills in p what follows from the scheduled graph.
func Generate(g *ir.Graph, s *schedule.Schedule, p *plan.Plan) {
	w := &packer{plan: p, index: map[packKey]int{}}
	p.Buffers = s.Buffers
	for i, op := range s.Ops {
		p.Steps = append(p.Steps, step(op, s, s.Needed[i], w))
	}
	for i, o := range g.Outputs {
		p.Outputs = append(p.Outputs, plan.Output{
			Name: o.Name, Buffer: s.Place[o.Value], After: s.After[i], When: plan.When(o.When),
		})
	}
	w.finish()
}

func step(op *ir.Op, s *schedule.Schedule, needed uint64, w *packer) plan.Step {
	code, ok := ops[op.Kind]
	if !ok {
		panic(fmt.Sprintf("bug: codegen/cpu: no step for %v", op.Kind))
	}
	st := plan.Step{Op: code, Label: op.Label, Needed: needed, Params: params(op)}
	for i, a := range op.Args {
		st.Args = append(st.Args, arg(op, i, a, s, w))
	}
	for _, r := range op.Results {
		at, live := s.Place[r]
		if !live {
			at = plan.Unused
		}
		st.Results = append(st.Results, at)
	}
	if weightLayout(op, "w") != 0 || op.Kind == ir.VOAttention {
		st.Reduction = FMA
	}
	return st
}

var inputArgs = map[string]plan.ArgKind{
	"ids": plan.FromIDs, "types": plan.FromTypes, "positions": plan.FromPositions, "offsets": plan.FromOffsets,
}

func arg(op *ir.Op, i int, v *ir.Value, s *schedule.Schedule, w *packer) plan.Arg {
	switch {
	case v == nil:
		return plan.Arg{}
	case v.Def.Kind == ir.Input:
		return plan.Arg{Kind: inputArgs[v.Def.Attrs.(*ir.InputAttrs).Name]}
	case v.Def.Kind == ir.Weight:
		layout := weightLayout(op, ir.OperandName(op.Kind, i))
		return plan.Arg{Kind: plan.FromWeight, Index: w.add(v, layout)}
	}
	return plan.Arg{Kind: plan.FromBuffer, Index: s.Place[v]}
}

// weightLayout is the layout in which an operator reads the operand of that
// name, 0 where that operand is no matrix of a product.
func weightLayout(op *ir.Op, operand string) plan.Layout {
	switch {
	case operand == "m" && op.Kind == ir.VOAttention:
		return plan.Panels
	case operand != "w":
		return 0
	}
	switch op.Kind {
	case ir.Linear, ir.LinearNLL:
		return plan.Panels
	case ir.BlockSparseLinear:
		return plan.Tiles
	case ir.CSRLinear:
		return plan.CSR
	case ir.Sparse24Linear:
		return plan.NM24
	}
	return 0
}

func params(op *ir.Op) plan.Params {
	switch a := op.Attrs.(type) {
	case *ir.EmbedAttrs:
		return plan.Params{Scale: a.Scale}
	case *ir.EmbedLayerNormAttrs:
		return plan.Params{Scale: a.Scale, Eps: a.Eps}
	case *ir.LayerNormAttrs:
		return plan.Params{Eps: a.Eps}
	case *ir.LinearAttrs:
		return plan.Params{Act: plan.Act(a.Act), Scaled: a.Scaled, Scale: a.Scale}
	case *ir.AttentionAttrs:
		return plan.Params{
			Heads: a.Heads, D: a.D, Dv: a.Dv, Scale: a.Scale,
			Causal: a.Causal, Exp2: a.Exp2, Rows: plan.RowChoice(a.Rows),
		}
	case *ir.SelectRowsAttrs:
		return plan.Params{Rows: plan.RowChoice(a.Rows)}
	}
	return plan.Params{}
}
