package transform

import (
	"fmt"

	"etc/ir"
	"etc/ir/pass"
)

// MergeWeights makes one weight of those that are one tensor of the
// checkpoint, such as a vocabulary that is tied to the embedding. Weights of
// equal values at different places stay apart: nobody compares bytes.
var MergeWeights = pass.Pass{
	Name: "merge-weights",
	Doc:  "make one weight of those that are the same memory",
	Run:  mergeWeights,
}

func mergeWeights(g *ir.Graph) int {
	first := map[string]*ir.Value{}
	merged := 0
	for _, op := range g.Ops {
		a, ok := op.Attrs.(*ir.WeightAttrs)
		if !ok || len(a.Data.Data) == 0 {
			continue
		}
		// The origin is part of what a weight is: see ir.WeightAttrs.
		key := fmt.Sprintf("%p %v %q %d %v", &a.Data.Data[0], a.Data, a.Tensor, a.Row, a.Transposed)
		if v, seen := first[key]; seen {
			g.ReplaceUses(op.Result(), v)
			merged++
		} else {
			first[key] = op.Result()
		}
	}
	g.RemoveDead()
	return merged
}
