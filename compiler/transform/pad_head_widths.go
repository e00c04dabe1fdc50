package transform

import (
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// PadHeadWidths makes the widths d and dv of heads multiples of a number, with
// rows of zeros in W_Q, W_K and W_V and columns of zeros in W_O:
//
//	q·k = Σ_j q_j·k_j + 0·0,  W_O·z = Σ_j W_O[:,j]·z_j + 0·0
//
// It is for targets whose kernels load several features at once. The scale
// stays that of the width the model was trained with. An attention that shares
// its linears with something else is left alone. It runs after pruning, which
// would take the zeros out again, and before fold-softmax-scale, which counts
// the features of q.
func PadHeadWidths(multiple int) pass.Pass {
	return pass.Pass{
		Name: "pad-head-widths",
		Doc:  "add zero features to heads until their widths are multiples of what kernels load",
		Run: func(g *ir.Graph) int {
			return eachAttention(g, func(b attentionBlock) int { return b.pad(g, multiple) })
		},
	}
}

// pad returns how many features a head gained.
func (b attentionBlock) pad(g *ir.Graph, multiple int) int {
	d, dv := roundUp(b.D, multiple), roundUp(b.Dv, multiple)
	if b.o == nil || d == b.D && dv == b.Dv {
		return 0
	}
	attrs := *b.AttentionAttrs
	attrs.D, attrs.Dv = d, dv
	padded := g.NewBefore(b.attention, ir.Attention, &attrs, b.attention.Label,
		padRows(g, b.q, b.D, d), padRows(g, b.k, b.D, d), padRows(g, b.v, b.Dv, dv),
		b.attention.Arg("offsets"), b.attention.Arg("bias")).Result()
	if dv == b.Dv {
		g.ReplaceUses(b.attention.Result(), padded)
	} else {
		w := valuesOf(b.o, "w")
		wide := reweight(g, b.o, "w", widen(w, w.Shape[0]*b.Heads, b.Dv, dv, []int{w.Shape[0], b.Heads * dv}))
		linear := *b.o.Attrs.(*ir.LinearAttrs)
		g.ReplaceUses(b.o.Result(), g.NewBefore(b.o, ir.Linear, &linear, b.o.Label, padded, wide, b.o.Arg("b"), b.o.Arg("residual")).Result())
	}
	return d - b.D + dv - b.Dv
}

// padRows returns a plain linear with to features a head in place of from.
func padRows(g *ir.Graph, lin *ir.Op, from, to int) *ir.Value {
	if from == to {
		return lin.Result()
	}
	w := valuesOf(lin, "w")
	heads, k := w.Shape[0]/from, w.Shape[1]
	var bias []tensor.Tensor
	if b, ok := lin.Arg("b").Data(); ok {
		bias = append(bias, widen(b, heads, from, to, []int{heads * to}))
	}
	return relinear(g, lin, widen(w, heads, from*k, to*k, []int{heads * to, k}), bias...).Result()
}

// widen puts zeros behind each of the parts of t, whose elements are parts of
// from elements, until they are parts of to.
func widen(t tensor.Tensor, parts, from, to int, shape []int) tensor.Tensor {
	size := t.DType.Size()
	data := make([]byte, parts*to*size)
	for p := range parts {
		copy(data[p*to*size:], t.Data[p*from*size:(p+1)*from*size])
	}
	return tensor.Tensor{DType: t.DType, Shape: shape, Data: data}
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
