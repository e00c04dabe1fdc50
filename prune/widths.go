package prune

// Widths narrows every head by the same number of features: d, a row each of
// W_Q and W_K, and dv, a row of W_V with a column of W_O.
var Widths = Method{"widths", "inner widths of all heads", func(e *Edit) {
	for _, a := range e.attentions {
		a.narrowScores()
		a.narrowValues()
	}
}}

// narrowScores narrows d. The score of a feature is the product of the
// energies of its two sides, the size of its part of the scores. A bias of
// queries weighs keys, so it counts; one of keys adds the same to all scores
// of a query, which softmax does not see.
func (a *attention) narrowScores() {
	queries, keys := a.q.rowEnergies(), a.k.rowEnergies()
	for i := range queries {
		b := a.q.bias(i)
		queries[i] = (queries[i] + b*b) * keys[i]
	}
	a.narrow(a.d, queries, a.removeScore)
}

// narrowValues narrows dv. The score of a feature is the energy of its column
// of W_O.
func (a *attention) narrowValues() {
	a.narrow(a.dv, a.o.columnEnergies(), a.removeValue)
}

// narrow ranks the features of each head among themselves, width to a head:
// only an equal number in all heads makes them narrower.
func (a *attention) narrow(width int, scores []float64, remove func(i int, l level)) {
	for h := range a.heads {
		of := scores[h*width : (h+1)*width]
		some(width).rank(of, func(i int, l level) { remove(h*width+i, l) })
	}
}
