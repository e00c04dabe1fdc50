package prune

// NM makes matrices 2:4 sparse: of every four inputs of an output, the two of
// least energy go. A share below one takes that share of the matrices, those
// first that lose the smallest part of their energy; all of them are a
// sparsity of one half.
var NM = Method{"nm", "2 of every 4 inputs of an output", func(e *Edit, share float64) {
	all := e.matrices()
	loss := func(i int) float64 {
		lost, total := 0.0, 0.0
		all[i].in24(func(r, c int, goes bool) {
			total += all[i].energy(r, c)
			if goes {
				lost += all[i].energy(r, c)
			}
		})
		return lost / total
	}
	each(len(all), portion(share, len(all), 1, len(all)), loss, func(i int) {
		m := all[i]
		m.in24(func(r, c int, goes bool) {
			if goes {
				m.zero[r*m.k+c] = true
			}
		})
	})
}}

// in24 visits every entry and says whether it is one of the two lowest of its
// group of four. Of a shorter group at the end all but two go.
func (m *matrix) in24(f func(i, j int, goes bool)) {
	const group, kept = 4, 2
	for i := range m.n {
		for j := 0; j < m.k; j += group {
			size := min(group, m.k-j)
			scores := make([]float64, size)
			for c := range scores {
				scores[c] = m.energy(i, j+c)
			}
			goes := make([]bool, size)
			for _, c := range lowest(scores, max(0, size-kept)) {
				goes[c] = true
			}
			for c, g := range goes {
				f(i, j+c, g)
			}
		}
	}
}
