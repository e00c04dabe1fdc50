package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// PrecomputeValueOutput multiplies W_V and W_O beforehand where pays says so:
//
//	Σ_h W_O,h·(p_h·x·W_V,hᵀ) = Σ_h p_h·(x·M_hᵀ), M_h = W_O,h·W_V,h
//
// b_V comes out of the attention as W_O·b_V, as in fold-value-bias. W_O must
// feed a skip_layernorm: no other operator adds a residual to vo_attention.
// It does not apply to picked query rows or a table of scores by distance,
// which vo_attention does not have. It runs after condense-output-rows, so
// that M has the kept outputs only, and before fuse-qkv.
// (docs/references.md)
func PrecomputeValueOutput(pays func(a *ir.AttentionAttrs, k, n int) bool) pass.Pass {
	return pass.Pass{
		Name: "precompute-value-output",
		Doc:  "multiply W_V and W_O beforehand where it pays",
		Run:  func(g *ir.Graph) int { return precomputeValueOutput(g, pays) },
	}
}

func precomputeValueOutput(g *ir.Graph, pays func(a *ir.AttentionAttrs, k, n int) bool) int {
	done := 0
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Attention {
			continue
		}
		v, o := valueOutput(g, op)
		if o == nil || !pays(op.Attrs.(*ir.AttentionAttrs), v.Arg("x").Type.Width(), int(o.Arg("w").Type.Rows())) {
			continue
		}
		qk := stack(g, op, "qk", affineOf(op.Arg("q")), plainOf(op.Arg("k")))
		if qk == nil {
			continue
		}
		g.ReplaceUses(o.Result(), voAttention(g, op, qk, v, o))
		done++
	}
	g.RemoveDead()
	return done
}

// valueOutput returns the linears W_V and W_O of an attention that
// vo_attention can stand for, or nil.
func valueOutput(g *ir.Graph, attention *ir.Op) (v, o *ir.Op) {
	if attention.Attrs.(*ir.AttentionAttrs).Rows != ir.AllRows || attention.Arg("bias") != nil {
		return nil, nil
	}
	v = plainOf(attention.Arg("v"))
	user := g.OnlyUser(attention.Result())
	if v == nil || v.Arg("columns") != nil || user == nil || user.Kind != ir.Linear {
		return nil, nil
	}
	o = plainOf(user.Result())
	if o == nil || o.Arg("columns") != nil {
		return nil, nil
	}
	if skip := g.OnlyUser(o.Result()); skip == nil || skip.Kind != ir.SkipLayerNorm {
		return nil, nil
	}
	return v, o
}

// voAttention stands for o(attention(…, v)); qk is the fused linear of q and k.
func voAttention(g *ir.Graph, attention *ir.Op, qk *ir.Value, v, o *ir.Op) *ir.Value {
	attrs := *attention.Attrs.(*ir.AttentionAttrs)
	m := g.NewWeightBefore(o, o.Label+" value-output", productByHead(valuesOf(o, "w"), valuesOf(v, "w"), attrs.Heads, attrs.Dv))
	var b *ir.Value
	if o.Arg("b") != nil || v.Arg("b") != nil {
		sum := biasOf(o)
		for i, x := range timesVector(valuesOf(o, "w"), biasOf(v)) {
			sum[i] += x
		}
		b = reweight(g, o, "b", vector(sum))
	}
	attrs.Dv = int(o.Arg("w").Type.Rows())
	return g.NewBefore(o, ir.VOAttention, &attrs, o.Label, qk, v.Arg("x"), m, attention.Arg("offsets"), b).Result()
}

// productByHead is M [heads·n, k], M_h = W_O[:, h]·W_V[h, :], in float64, from
// W_O [n, heads·dv] and W_V [heads·dv, k].
func productByHead(wo, wv tensor.Tensor, heads, dv int) tensor.Tensor {
	n, k := wo.Shape[0], wv.Shape[1]
	o, v := wo.Float64s(), wv.Float64s()
	m := make([]float64, heads*n*k)
	for h := range heads {
		for i := range n {
			row := m[(h*n+i)*k : (h*n+i+1)*k]
			for j := h * dv; j < (h+1)*dv; j++ {
				f := o[i*heads*dv+j]
				for c, x := range v[j*k : (j+1)*k] {
					row[c] += float64(f * x) // rounded, so that no machine fuses it
				}
			}
		}
	}
	return tensor.FromFloat64s([]int{heads * n, k}, m)
}
