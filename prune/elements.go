package prune

// Elements zeroes single entries, the same share of every output row, by
// their energy: Wanda (Sun et al., A Simple and Effective Pruning Approach
// for Large Language Models, 2023).
var Elements = Method{"elements", "single entries of every matrix (irregular)", func(e *Edit) {
	for _, m := range e.matrices {
		for i := range m.n {
			all(m.k).rank(m.energies(i), func(j int, l level) { m.zero(i, j, l) })
		}
	}
}}
