package prune

// Rows zeroes output rows of every matrix. Rows of W_O and W2 go by their
// energy and leave their mean as a bias. The other rows have a partner, and go
// with it and by its score: W_Q with W_K, W_V with a column of W_O, as many in
// each head, W1 with a column of W2; other rows would leave no smaller product.
var Rows = Method{"rows", "output rows of every matrix", func(e *Edit) {
	for _, a := range e.attentions {
		a.narrowScores()
		a.narrowValues()
		a.o.rankRows()
	}
	for _, f := range e.ffns {
		f.removeNeurons()
		f.out.rankRows()
	}
}}

func (m *matrix) rankRows() { some(m.n).rank(m.rowEnergies(), m.zeroRow) }
