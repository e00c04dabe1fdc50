package cuda

import (
	"etc/ir"
	"etc/ir/tensor"
)

// Storage gives the type in which each value of a lowered graph is kept on a
// GPU, with elem the storage type of the target, f16 or bf16.
//
// What a tensor core multiplies is elem; so is what a product gives, unless it
// is the sum of a residual stream. What is added up over layers stays float32,
// and so do answers: an embedding that no product reads, the sums of
// skip_layernorm in a model that normalises first, pooled and normalised rows,
// logits and losses.
func Storage(g *ir.Graph, elem tensor.DType) func(*ir.Value) tensor.DType {
	multiplied := map[*ir.Value]bool{}
	for _, op := range g.Ops {
		for i, a := range op.Args {
			if a != nil && multiplies(op.Kind, ir.OperandName(op.Kind, i)) {
				multiplied[a] = true
			}
		}
	}
	// A row that is picked is what it was picked for.
	for i := len(g.Ops) - 1; i >= 0; i-- {
		if op := g.Ops[i]; op.Kind == ir.SelectRows && multiplied[op.Result()] && !isSum(op.Arg("x")) {
			multiplied[op.Arg("x")] = true
		}
	}
	answers := map[*ir.Value]bool{}
	for _, o := range g.Outputs {
		if o.When != ir.Tap {
			answers[o.Value] = true
		}
	}
	return func(v *ir.Value) tensor.DType {
		switch {
		case v.Type.DType == tensor.I32:
			return tensor.I32
		case multiplied[v]:
			return elem
		case answers[v], isSum(v):
			return tensor.F32
		}
		switch v.Def.Kind {
		case ir.Pool, ir.Normalize, ir.LinearNLL:
			return tensor.F32
		}
		return elem
	}
}

// multiplies reports whether an operator feeds that operand to tensor cores.
func multiplies(k ir.Kind, operand string) bool {
	switch operand {
	case "x":
		return k.IsLinear() || k == ir.VOAttention || k == ir.LinearNLL
	case "qkv", "q", "qk":
		return true
	}
	return false
}

// isSum reports whether v is a stream of residuals: an embedding, or a sum
// with what came before.
func isSum(v *ir.Value) bool {
	switch op := v.Def; op.Kind {
	case ir.Embed:
		return true
	case ir.SkipLayerNorm:
		return v == op.Results[0]
	case ir.SelectRows:
		return isSum(op.Arg("x"))
	default:
		return op.Kind.IsLinear() && op.Arg("residual") != nil
	}
}
