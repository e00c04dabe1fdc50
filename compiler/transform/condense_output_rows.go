package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// worthMoving is the part of the rows or columns of a matrix, one in so many,
// from which on leaving them out pays for moving the rest: a kernel takes 16
// at a time, and to move an element costs about as much as to multiply it.
const worthMoving = 16

// CondenseOutputRows leaves out zero rows of a linear whose result goes into
// a skip_layernorm, which puts the others where they belong and adds the bias:
//
//	x·Wᵀ + b + residual = scatter(x·W[kept]ᵀ, kept) + b + residual
//
// It runs after fuse-skip-layernorm, and does not apply where something else
// reads the result or where fewer than one row in 16 is zero. One row stays
// where all are zero. (docs/references.md R8)
var CondenseOutputRows = pass.Pass{
	Name: "condense-output-rows",
	Doc:  "leave out zero rows of W_O and W2, scatter in skip_layernorm",
	Run:  condenseOutputRows,
}

func condenseOutputRows(g *ir.Graph) int {
	rows := 0
	for _, skip := range slices.Clone(g.Ops) {
		if skip.Kind != ir.SkipLayerNorm || skip.Arg("columns") != nil || skip.Arg("x") == skip.Arg("residual") || !hasValues(skip.Arg("bias")) {
			continue
		}
		lin := plainOf(skip.Arg("x"))
		if lin == nil || g.OnlyUser(lin.Result()) != skip {
			continue
		}
		w := valuesOf(lin, "w")
		kept := sparse.Kept(sparse.ZeroRows(w))
		if zero := w.Shape[0] - len(kept); zero*worthMoving < w.Shape[0] || w.Shape[0] == 1 {
			continue
		}
		if len(kept) == 0 {
			kept = []int{0} // there is no product of no outputs
		}
		condense(g, skip, lin, kept)
		rows += w.Shape[0] - len(kept)
	}
	g.RemoveDead()
	return rows
}

// condense makes lin a product of the kept rows alone.
func condense(g *ir.Graph, skip, lin *ir.Op, kept []int) {
	x := relinear(g, lin, sparse.Rows(valuesOf(lin, "w"), kept))
	columns := g.NewWeightBefore(skip, lin.Arg("w").WeightName()+" rows", columnList(kept))
	attrs := *skip.Attrs.(*ir.LayerNormAttrs)
	condensed := g.NewBefore(skip, ir.SkipLayerNorm, &attrs, skip.Label, x.Result(), skip.Arg("residual"),
		skip.Arg("gamma"), skip.Arg("beta"), addBiases(g, skip, skip.Arg("bias"), lin.Arg("b")), columns)
	for i, r := range skip.Results {
		g.ReplaceUses(r, condensed.Results[i])
	}
}

// addBiases is a + b, where either may be absent.
func addBiases(g *ir.Graph, at *ir.Op, a, b *ir.Value) *ir.Value {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	s, _ := a.Data()
	t, _ := b.Data()
	sum := s.Float64s()
	for i, x := range t.Float64s() {
		sum[i] += x
	}
	return g.NewWeightBefore(at, b.WeightName(), vector(sum))
}
