package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// DropKeyBias drops b_K. It adds q·b_K to all scores of a query, and softmax
// does not see what is added to all of them, with a table of scores by
// distance and a causal mask too:
//
//	softmax(q·(W_K·x + b_K)) = softmax(q·(W_K·x))
//
// It does not apply where something else reads k. (docs/references.md R1)
var DropKeyBias = pass.Pass{
	Name: "drop-key-bias",
	Doc:  "drop the bias of keys: softmax does not see it",
	Run:  dropKeyBias,
}

func dropKeyBias(g *ir.Graph) int {
	return eachAttention(g, func(b attentionBlock) int {
		if b.k.Arg("b") == nil {
			return 0
		}
		b.k.SetArg("b", nil)
		return 1
	})
}
