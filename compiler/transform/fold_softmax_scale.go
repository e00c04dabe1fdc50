package transform

import (
	"math"
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// FoldSoftmaxScale takes the softmax to base 2, which machines have, and
// moves its factor into the linear of the queries, as a multiplier after the
// sum that stays exact to float32 whatever type the weights get:
//
//	exp(s·q·k + t) = exp2((s·log2 e·q)·k + log2 e·t)
//
// A table t of scores by distance is multiplied here. Where q is no linear of
// its own the factor stays with the attention. (docs/references.md R3)
var FoldSoftmaxScale = pass.Pass{
	Name: "fold-softmax-scale",
	Doc:  "take softmax to base 2 and fold its factor into the queries",
	Run:  foldSoftmaxScale,
}

func foldSoftmaxScale(g *ir.Graph) int {
	folded := 0
	tables := map[*ir.Value]*ir.Value{} // layers may share one
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Attention || op.Attrs.(*ir.AttentionAttrs).Exp2 || !hasValues(op.Arg("bias")) {
			continue
		}
		attrs := *op.Attrs.(*ir.AttentionAttrs)
		attrs.Exp2, attrs.Scale = true, attrs.Scale*math.Log2E
		if q := plainOf(op.Arg("q")); q != nil {
			scaled := &ir.LinearAttrs{Scaled: attrs.Heads * attrs.D, Scale: attrs.Scale}
			op.SetArg("q", g.NewBefore(op, ir.Linear, scaled, q.Label, q.Args...).Result())
			attrs.Scale = 1
		}
		if bias := op.Arg("bias"); bias != nil {
			if tables[bias] == nil {
				t, _ := bias.Data()
				tables[bias] = g.NewWeightBefore(op, bias.WeightName(), sparse.Scale(t, math.Log2E))
			}
			op.SetArg("bias", tables[bias])
		}
		op.Attrs = &attrs
		folded++
	}
	g.RemoveDead()
	return folded
}
