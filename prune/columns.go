package prune

// Columns zeroes input columns of every matrix, by their energy. W_Q, W_K and
// W_V read the same inputs and lose the same ones, so that they can be
// gathered once. A column of W_O or W2 takes with it the row that made it.
var Columns = Method{"columns", "input columns of every matrix", func(e *Edit, share float64) {
	for _, a := range e.attentions {
		energy := func(j int) float64 { return a.q.columnEnergy(j) + a.k.columnEnergy(j) + a.v.columnEnergy(j) }
		each(a.q.k, portion(share, a.q.k, 1, a.q.k-1), energy, func(j int) {
			a.q.zeroColumn(j)
			a.k.zeroColumn(j)
			a.v.zeroColumn(j)
		})
		a.narrowValues(portion(share, a.dv, 1, a.dv-1))
	}
	for _, f := range e.ffns {
		each(f.in.k, portion(share, f.in.k, 1, f.in.k-1), f.in.columnEnergy, f.in.zeroColumn)
		f.removeNeurons(portion(share, f.in.n, neuronStep, max(0, f.in.n-neuronStep)))
	}
}}
