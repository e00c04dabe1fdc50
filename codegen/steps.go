package codegen

import (
	"fmt"

	"etc/compiler/schedule"
	"etc/formats/plan"
	"etc/ir"
)

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

// A WeightFunc packs a weight that operand i of op reads, in that layout, and
// returns its index in the plan, or -1 where the step has it in another weight.
type WeightFunc func(op *ir.Op, i int, l plan.Layout) int

// Steps fills in p, whose target is set, what follows from the scheduled graph:
// buffers, steps and outputs. Every kernel operator becomes one step.
func Steps(g *ir.Graph, s *schedule.Schedule, p *plan.Program, weight WeightFunc) {
	p.Buffers = s.Buffers
	for i, op := range s.Ops {
		p.Steps = append(p.Steps, step(op, s, s.Needed[i], p.Target, weight))
	}
	for i, o := range g.Outputs {
		p.Outputs = append(p.Outputs, plan.Output{
			Name: o.Name, Buffer: s.Place[o.Value], After: s.After[i], When: plan.When(o.When),
		})
	}
}

func step(op *ir.Op, s *schedule.Schedule, needed uint64, target string, weight WeightFunc) plan.Step {
	code, ok := ops[op.Kind]
	if !ok {
		panic(fmt.Sprintf("bug: codegen: no step for %v", op.Kind))
	}
	st := plan.Step{Op: code, Label: op.Label, Needed: needed, Params: params(op)}
	var layout plan.Layout
	layout, st.Reduction = code.Matrix(target)
	for i, a := range op.Args {
		st.Args = append(st.Args, arg(op, i, a, layout, s, weight))
	}
	for _, r := range op.Results {
		at, live := s.Place[r]
		if !live {
			at = plan.Unused
		}
		st.Results = append(st.Results, at)
	}
	return st
}

var inputArgs = map[string]plan.ArgKind{
	"ids": plan.FromIDs, "types": plan.FromTypes, "positions": plan.FromPositions, "offsets": plan.FromOffsets,
}

func arg(op *ir.Op, i int, v *ir.Value, matrix plan.Layout, s *schedule.Schedule, weight WeightFunc) plan.Arg {
	switch {
	case v == nil:
		return plan.Arg{}
	case v.Def.Kind == ir.Input:
		return plan.Arg{Kind: inputArgs[v.Def.Attrs.(*ir.InputAttrs).Name]}
	case v.Def.Kind == ir.Weight:
		layout := plan.RowMajor
		if name := ir.OperandName(op.Kind, i); name == "w" || name == "m" {
			layout = matrix
		}
		if at := weight(op, i, layout); at >= 0 {
			return plan.Arg{Kind: plan.FromWeight, Index: at}
		}
		return plan.Arg{}
	}
	return plan.Arg{Kind: plan.FromBuffer, Index: s.Place[v]}
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
