package prune

// Widths narrows every head by the same number of features: d, a row each of
// W_Q and W_K, and dv, a row of W_V with a column of W_O. The score of a value
// feature is the energy of its column of W_O; that of a query-key feature is
// the product of the energies of its two rows, the size of its part of the
// scores.
var Widths = Method{"widths", "inner widths of all heads", func(e *Edit, share float64) {
	for _, a := range e.attentions {
		a.narrowScores(portion(share, a.d, 1, a.d-1))
		a.narrowValues(portion(share, a.dv, 1, a.dv-1))
	}
}}

func (a *attention) narrowScores(count int) {
	for h := range a.heads {
		energy := func(i int) float64 { return a.q.rowEnergy(h*a.d+i) * a.k.rowEnergy(h*a.d+i) }
		each(a.d, count, energy, func(i int) {
			a.q.kill(h*a.d + i)
			a.k.kill(h*a.d + i)
		})
	}
}

func (a *attention) narrowValues(count int) {
	for h := range a.heads {
		energy := func(i int) float64 { return a.o.columnEnergy(h*a.dv + i) }
		each(a.dv, count, energy, func(i int) { a.removeValue(h*a.dv + i) })
	}
}
