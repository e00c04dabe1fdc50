package prune

// Rows zeroes output rows of every matrix, by their energy. Rows of W_Q and
// W_K go in pairs, and as many in each head, as do those of W_V: other rows
// would leave no smaller product. A row of W_O or W2 that goes leaves its
// mean, as a bias.
var Rows = Method{"rows", "output rows of every matrix", func(e *Edit, share float64) {
	for _, a := range e.attentions {
		a.narrowScores(portion(share, a.d, 1, a.d-1))
		for h := range a.heads {
			energy := func(i int) float64 { return a.v.rowEnergy(h*a.dv + i) }
			each(a.dv, portion(share, a.dv, 1, a.dv-1), energy, func(i int) { a.removeValue(h*a.dv + i) })
		}
		a.o.zeroRows(share)
	}
	for _, f := range e.ffns {
		each(f.in.n, portion(share, f.in.n, neuronStep, max(0, f.in.n-neuronStep)), f.in.rowEnergy, func(i int) {
			f.in.kill(i)
			f.out.zeroColumn(i)
		})
		f.out.zeroRows(share)
	}
}}

func (m *matrix) zeroRows(share float64) {
	each(m.n, portion(share, m.n, 1, m.n-1), m.rowEnergy, m.zeroRow)
}
