package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// PruneValueRows drops rows of W_V with their columns of W_O where either is
// zero:
//
//	W_O·(p·x·W_Vᵀ) = Σ_j W_O[:,j]·(p·x·W_V[j,:]ᵀ), over j where both are not zero
//
// All heads of an attention have one width dv, that of the widest; the others
// keep some rows that are not needed. It runs after fold-value-bias (a row
// with a bias is not zero) and after remove-dead-heads. (docs/references.md R4)
var PruneValueRows = pass.Pass{
	Name: "prune-value-rows",
	Doc:  "drop rows of W_V with their columns of W_O, where either is zero",
	Run:  pruneValueRows,
}

func pruneValueRows(g *ir.Graph) int {
	return eachAttention(g, func(b attentionBlock) int {
		if b.o == nil {
			return 0
		}
		kept, dv := evenly(b.liveValues(), b.Heads)
		if dv == b.Dv {
			return 0
		}
		b.narrow(g, upTo(b.Heads), upTo(b.Heads*b.D), kept, b.D, dv)
		return b.Heads * (b.Dv - dv)
	})
}
