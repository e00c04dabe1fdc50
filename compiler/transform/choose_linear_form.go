package transform

import (
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// ChooseLinearForm makes a linear the operator that choose names for the
// zeros of its weight: linear, block_sparse_linear, csr_linear or
// sparse24_linear. They compute the same; they differ in how W is kept. It
// runs last, on the weights as they will be.
func ChooseLinearForm(choose func(w sparse.Matrix) ir.Kind) pass.Pass {
	return pass.Pass{
		Name: "choose-linear-form",
		Doc:  "keep weights with many zeros in a sparse form",
		Run:  func(g *ir.Graph) int { return chooseLinearForm(g, choose) },
	}
}

func chooseLinearForm(g *ir.Graph, choose func(w sparse.Matrix) ir.Kind) int {
	changed := 0
	for _, op := range g.Ops {
		if op.Kind != ir.Linear || linearOf(op.Result()) == nil {
			continue
		}
		if op.Kind = choose(sparse.Survey(valuesOf(op, "w"))); op.Kind != ir.Linear {
			changed++
		}
	}
	return changed
}
