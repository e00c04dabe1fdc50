package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// RemoveDeadHeads drops a head whole, its rows of W_Q, W_K and W_V, its
// columns of W_O and its row of a bias table, where nothing of it arrives:
//
//	for every feature j of head h:  row j of W_V is zero or column j of W_O is
//
// Where all heads are dead the output is its bias for every token, and the
// attention goes too. It runs after fold-value-bias: a head that is constant
// is dead only then. (docs/references.md R6)
var RemoveDeadHeads = pass.Pass{
	Name: "remove-dead-heads",
	Doc:  "drop attention heads that add nothing",
	Run:  removeDeadHeads,
}

func removeDeadHeads(g *ir.Graph) int {
	return eachAttention(g, func(b attentionBlock) int {
		if b.o == nil {
			return 0
		}
		heads := b.liveHeads()
		switch len(heads) {
		case b.Heads:
		case 0:
			g.ReplaceUses(b.o.Result(), constantRows(g, b.o, b.constantInput()).Result())
		default:
			b.narrow(g, heads, ofHeads(heads, b.D), ofHeads(heads, b.Dv), b.D, b.Dv)
		}
		return b.Heads - len(heads)
	})
}

// liveHeads lists the heads with a value feature that reaches the result.
func (b attentionBlock) liveHeads() []int {
	var heads []int
	for i, live := range b.liveValues() {
		if h := i / b.Dv; live && (len(heads) == 0 || heads[len(heads)-1] != h) {
			heads = append(heads, h)
		}
	}
	return heads
}

// constantInput is a value with the rows of the attention's result.
func (b attentionBlock) constantInput() *ir.Value {
	return b.q.Arg("x") // queries are what the result has a row for
}
