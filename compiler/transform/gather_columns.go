package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// GatherColumns leaves out zero columns of a linear, which then reads the
// other columns of its input only:
//
//	x·Wᵀ = x[:,kept]·W[:,kept]ᵀ
//
// It does not apply where fewer than one column in 16 is zero. One column
// stays where all are zero. It runs after fuse-qkv: what is left out of the
// product of q, k and v is zero in all three. (docs/references.md R9)
var GatherColumns = pass.Pass{
	Name: "gather-columns",
	Doc:  "leave out zero columns of linears",
	Run:  gatherColumns,
}

func gatherColumns(g *ir.Graph) int {
	columns := 0
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Linear || linearOf(op.Result()) == nil {
			continue
		}
		w := valuesOf(op, "w")
		kept := sparse.Kept(sparse.ZeroColumns(w))
		k := w.Shape[1]
		if (k-len(kept))*worthMoving < k || k == 1 {
			continue
		}
		if len(kept) == 0 {
			kept = []int{0} // there is no product of no inputs
		}
		list := columnList(kept)
		if had, ok := op.Arg("columns").Data(); ok {
			list = sparse.Rows(had, kept)
		}
		op.SetArg("columns", g.NewWeightBefore(op, op.Arg("w").WeightName()+" columns", list))
		op.SetArg("w", reweight(g, op, "w", sparse.Columns(w, kept)))
		columns += k - len(kept)
	}
	g.RemoveDead()
	return columns
}
