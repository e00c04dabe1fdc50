package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// An attentionBlock is an attention with the linears that belong to it alone,
// W_Q, W_K, W_V and W_O, so that heads and their inner features can be taken
// out of all of them together.
type attentionBlock struct {
	attention, q, k, v *ir.Op
	o                  *ir.Op // nil where the result goes elsewhere too
	*ir.AttentionAttrs
}

// eachAttention calls rewrite for the blocks of g, as the rewrites before left
// them, and returns the sum of what it returns.
func eachAttention(g *ir.Graph, rewrite func(b attentionBlock) int) int {
	n := 0
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Attention || !slices.Contains(g.Ops, op) {
			continue
		}
		if b, ok := blockOf(g, op); ok {
			n += rewrite(b)
			g.RemoveDead()
		}
	}
	return n
}

// blockOf returns the block around an attention.
func blockOf(g *ir.Graph, attention *ir.Op) (b attentionBlock, ok bool) {
	b = attentionBlock{
		attention: attention, AttentionAttrs: attention.Attrs.(*ir.AttentionAttrs),
		q: ownInput(g, attention, "q"), k: ownInput(g, attention, "k"), v: ownInput(g, attention, "v"),
	}
	if b.q == nil || b.k == nil || b.v == nil || !hasValues(attention.Arg("bias")) {
		return b, false
	}
	z := attention.Result()
	if o := g.OnlyUser(z); o != nil && linearOf(o.Results[0]) == o && o.Arg("columns") == nil && o.Arg("residual") != z {
		b.o = o
	}
	return b, true
}

// ownInput returns the plain linear behind an operand of an attention that
// nothing else reads.
func ownInput(g *ir.Graph, attention *ir.Op, name string) *ir.Op {
	v := attention.Arg(name)
	uses := 0
	for _, a := range attention.Args {
		if a == v {
			uses++
		}
	}
	if uses > 1 || g.OnlyUser(v) != attention {
		return nil
	}
	return plainOf(v)
}

// narrow keeps of the block the listed heads, the listed rows of W_Q and W_K
// (d to a head) and the listed rows of W_V and columns of W_O (dv to a head).
func (b attentionBlock) narrow(g *ir.Graph, heads, qk, v []int, d, dv int) {
	attrs := *b.AttentionAttrs
	attrs.Heads, attrs.D, attrs.Dv = len(heads), d, dv
	bias := b.attention.Arg("bias")
	if t, ok := bias.Data(); ok && len(heads) < b.Heads {
		bias = g.NewWeightBefore(b.attention, bias.WeightName(), sparse.Rows(t, heads))
	}
	narrow := g.NewBefore(b.attention, ir.Attention, &attrs, b.attention.Label,
		keepRows(g, b.q, qk), keepRows(g, b.k, qk), keepRows(g, b.v, v), b.attention.Arg("offsets"), bias).Result()
	if len(v) == b.Heads*b.Dv {
		g.ReplaceUses(b.attention.Result(), narrow)
	} else {
		g.ReplaceUses(b.o.Result(), keepColumns(g, b.o, narrow, v).Result())
	}
}

// liveValues marks the value features that reach the result: v is not zero
// for every x there, and neither is the column of W_O.
func (b attentionBlock) liveValues() []bool {
	live := zeroFeatures(b.v)
	dead := sparse.ZeroColumns(valuesOf(b.o, "w"))
	for i, zero := range live {
		live[i] = !zero && !dead[i]
	}
	return live
}

// liveScores marks the query-key features that take part in the scores:
// neither q nor k is zero for every x there.
func (b attentionBlock) liveScores() []bool {
	live := zeroFeatures(b.q)
	dead := zeroFeatures(b.k)
	for i, zero := range live {
		live[i] = !zero && !dead[i]
	}
	return live
}

// evenly lists width features of each of the heads: all that are live, then
// dead ones from the lowest on where a head has fewer than the widest has. It
// returns that width, at least 1: an attention has no heads of no features.
func evenly(live []bool, heads int) (kept []int, width int) {
	of := len(live) / heads
	count := make([]int, heads)
	for i, l := range live {
		if l {
			count[i/of]++
		}
	}
	width = 1
	for _, n := range count {
		width = max(width, n)
	}
	for i, l := range live {
		spare := width - count[i/of]
		if l || spare > 0 {
			kept = append(kept, i)
		}
		if !l && spare > 0 {
			count[i/of]++
		}
	}
	return kept, width
}

// upTo is 0, 1, …, n-1.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// ofHeads lists the features of the heads, width to a head.
func ofHeads(heads []int, width int) []int {
	list := make([]int, 0, len(heads)*width)
	for _, h := range heads {
		for i := range width {
			list = append(list, h*width+i)
		}
	}
	return list
}

// columnList is an i32[n] weight.
func columnList(list []int) tensor.Tensor {
	v := make([]int32, len(list))
	for i, c := range list {
		v[i] = int32(c)
	}
	return tensor.FromInt32s([]int{len(v)}, v)
}
