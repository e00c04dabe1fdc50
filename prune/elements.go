package prune

// Elements zeroes single entries, the same share of every output row, by
// their energy: Wanda (Sun et al., A Simple and Effective Pruning Approach
// for Large Language Models, 2023).
var Elements = Method{"elements", "single entries of every matrix (irregular)", func(e *Edit, share float64) {
	for _, m := range e.matrices() {
		for i := range m.n {
			energy := func(j int) float64 { return m.energy(i, j) }
			each(m.k, portion(share, m.k, 1, m.k), energy, func(j int) { m.zero[i*m.k+j] = true })
		}
	}
}}
