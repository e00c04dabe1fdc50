package prune

// Rows zeroes output rows of every matrix. Rows of W_O and W2 go by their
// energy and leave their mean as a bias. The other rows have a partner, and go
// with it: W_Q with W_K, W_V with a column of W_O, as many in each head, W1
// with a column of W2; other rows would leave no smaller product.
var Rows = structure{"rows", "output rows of every matrix", "obs", func(e *Edit) {
	e.narrowScores()
	e.narrowValues()
	e.removeNeurons()
	for _, l := range e.layers {
		e.removeOutputs(l)
	}
}}

// removeOutputs makes the dial of what a sublayer adds to the residual stream.
func (e *Edit) removeOutputs(l *sublayer) {
	out := l.stages[len(l.stages)-1][0]
	energies := out.rowEnergies()
	for i := range energies {
		energies[i] *= out.counts[i]
	}
	order := ascending(energies)
	e.dials = append(e.dials, &dial{some(out.n), "outputs", l, func(rank int) { out.rows[order[rank]] = true }, nil})
}
