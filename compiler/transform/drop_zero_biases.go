package transform

import (
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// DropZeroBiases drops biases of nothing but zeros:
//
//	x·Wᵀ + 0 = x·Wᵀ
var DropZeroBiases = pass.Pass{
	Name: "drop-zero-biases",
	Doc:  "drop biases that are zero",
	Run:  dropZeroBiases,
}

func dropZeroBiases(g *ir.Graph) int {
	dropped := 0
	for _, op := range g.Ops {
		if op.Kind != ir.Linear && op.Kind != ir.LinearNLL {
			continue
		}
		if b, ok := op.Arg("b").Data(); ok && b.Data != nil && sparse.AllZero(b) {
			op.SetArg("b", nil)
			dropped++
		}
	}
	g.RemoveDead()
	return dropped
}
