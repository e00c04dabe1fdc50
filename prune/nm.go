package prune

// NM makes matrices 2:4 sparse: of every four inputs of an output, the two of
// least energy go. A matrix goes whole or not at all, those first that lose
// the smallest part of their energy; all of them are a sparsity of one half.
var NM = Method{"nm", "2 of every 4 inputs of an output", func(e *Edit) {
	losses := make([]float64, len(e.matrices))
	for i, m := range e.matrices {
		losses[i] = m.loss24()
	}
	all(len(losses)).rank(losses, func(i int, l level) {
		m := e.matrices[i]
		m.lowest24(func(row, column int, _ float64) { m.zero(row, column, l) })
	})
}}

// loss24 is the part of the energy that goes.
func (m *matrix) loss24() float64 {
	lost, total := 0.0, 0.0
	m.lowest24(func(_, _ int, energy float64) { lost += energy })
	for _, energy := range m.rowEnergies() {
		total += energy
	}
	if total == 0 {
		return 0
	}
	return lost / total
}

// lowest24 visits the entries that go: of each group of four all but two. A
// shorter group at the end keeps two too.
func (m *matrix) lowest24(visit func(i, j int, energy float64)) {
	const size, kept = 4, 2
	for i := range m.n {
		energies := m.energies(i)
		for j := 0; j < m.k; j += size {
			of := energies[j:min(j+size, m.k)]
			for c, energy := range of {
				if rankIn(of, c) < len(of)-kept {
					visit(i, j+c, energy)
				}
			}
		}
	}
}

// rankIn is the number of scores that go before score c, ties by number.
func rankIn(scores []float64, c int) int {
	rank := 0
	for other, s := range scores {
		if s < scores[c] || s == scores[c] && other < c {
			rank++
		}
	}
	return rank
}
