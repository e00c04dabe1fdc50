package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// FoldValueBias moves b_V behind the attention. The probabilities p of a
// query sum to 1, so b_V comes out as it went in:
//
//	W_O·(p·(x·W_Vᵀ + b_V)) + b_O = W_O·(p·x·W_Vᵀ) + (b_O + W_O·b_V)
//
// It does not apply where the result of the attention goes elsewhere than to
// one linear. (docs/references.md R2)
var FoldValueBias = pass.Pass{
	Name: "fold-value-bias",
	Doc:  "move the bias of values into the one of the output",
	Run:  foldValueBias,
}

func foldValueBias(g *ir.Graph) int {
	return eachAttention(g, func(b attentionBlock) int {
		if b.o == nil || b.v.Arg("b") == nil {
			return 0
		}
		w, sum := valuesOf(b.o, "w"), biasOf(b.o)
		for i, x := range timesVector(w, biasOf(b.v)) {
			sum[i] += x
		}
		b.o.SetArg("b", reweight(g, b.o, "b", vector(sum)))
		b.v.SetArg("b", nil)
		return 1
	})
}
