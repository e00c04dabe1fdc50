package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// PruneQueryKey drops rows of W_Q with the same rows of W_K where either
// leaves nothing in the scores:
//
//	q·k = Σ_j q_j·k_j, over j where neither q_j nor k_j is always zero
//
// A zero row of W_Q counts only where its bias is zero too: q_j is constant
// otherwise, and weighs k_j. All heads keep the width of the widest, and the
// scale stays that of the width the model was trained with. It runs after
// drop-key-bias (a zero row of W_K with a bias is not zero) and after
// remove-dead-heads. (docs/references.md R5)
var PruneQueryKey = pass.Pass{
	Name: "prune-query-key",
	Doc:  "drop rows of W_Q and W_K that leave nothing in the scores",
	Run:  pruneQueryKey,
}

func pruneQueryKey(g *ir.Graph) int {
	return eachAttention(g, func(b attentionBlock) int {
		kept, d := evenly(b.liveScores(), b.Heads)
		if d == b.D {
			return 0
		}
		b.narrow(g, upTo(b.Heads), kept, upTo(b.Heads*b.Dv), d, b.Dv)
		return b.Heads * (b.D - d)
	})
}
