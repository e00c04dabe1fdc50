package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// FuseQKV makes one product of queries, keys and values:
//
//	attention(x·W_Qᵀ, x·W_Kᵀ, x·W_Vᵀ) = otf_attention(x·[W_Q; W_K; W_V]ᵀ)
//
// With picked query rows the linear of q stays and [W_K; W_V] are one. The
// factor of the softmax covers the features of q. A bias that one of them
// lacks is zeros. otf_attention stands for the family of attention kernels:
// which one it is follows later, for each bucket. It runs last of the passes
// over attention; q, k and v that are not linears of one x have no kernel, and
// no architecture has them.
var FuseQKV = pass.Pass{
	Name: "fuse-qkv",
	Doc:  "make one product of queries, keys and values",
	Run:  fuseQKV,
}

func fuseQKV(g *ir.Graph) int {
	fused := 0
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Attention {
			continue
		}
		attrs := *op.Attrs.(*ir.AttentionAttrs)
		k, v := plainOf(op.Arg("k")), plainOf(op.Arg("v"))
		var q, qkv *ir.Value
		if attrs.Rows == ir.AllRows {
			qkv = stack(g, op, "qkv", affineOf(op.Arg("q")), k, v)
		} else {
			q, qkv = op.Arg("q"), stack(g, op, "kv", k, v)
		}
		if qkv == nil {
			continue
		}
		g.ReplaceUses(op.Result(), g.NewBefore(op, ir.OTFAttention, &attrs, op.Label, qkv, op.Arg("offsets"), q, op.Arg("bias")).Result())
		fused++
	}
	g.RemoveDead()
	return fused
}

// stack returns one linear of the features of several of one x, or nil where
// they are not. Only the first may scale its features.
func stack(g *ir.Graph, at *ir.Op, name string, parts ...*ir.Op) *ir.Value {
	if slices.Contains(parts, nil) {
		return nil
	}
	x, columns := parts[0].Arg("x"), parts[0].Arg("columns")
	var weights, biases []tensor.Tensor
	for _, p := range parts {
		if p.Arg("x") != x || p.Arg("columns") != columns {
			return nil
		}
		weights = append(weights, valuesOf(p, "w"))
	}
	attrs := *parts[0].Attrs.(*ir.LinearAttrs)
	args := []*ir.Value{x, g.NewWeightBefore(at, at.Label+" "+name+" weight", sparse.Stack(weights...)), nil, nil, columns}
	if slices.ContainsFunc(parts, func(p *ir.Op) bool { return p.Arg("b") != nil }) {
		for _, p := range parts {
			biases = append(biases, vector(biasOf(p)))
		}
		args[2] = g.NewWeightBefore(at, at.Label+" "+name+" bias", sparse.Stack(biases...))
	}
	return g.NewBefore(at, ir.Linear, &attrs, at.Label, args...).Result()
}
