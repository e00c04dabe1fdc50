package prune

// Columns zeroes input columns of every matrix. W_Q, W_K and W_V read the same
// inputs and lose the same ones, so that they can be gathered once. A column
// of W_O or W2 takes with it the row that made it.
var Columns = structure{"columns", "input columns of every matrix", "energy", func(e *Edit) {
	e.narrowValues()
	e.removeNeurons()
	for _, l := range e.layers {
		e.removeInputs(l)
	}
}}

// removeInputs makes the dial of what a sublayer reads.
func (e *Edit) removeInputs(l *sublayer) {
	first := l.stages[0]
	scores := make([]float64, first[0].k)
	for _, m := range first {
		for j, energy := range m.columnEnergies() {
			scores[j] += energy
		}
	}
	order := ascending(scores)
	e.dials = append(e.dials, &dial{some(len(order)), "inputs", l, func(rank int) {
		for _, m := range first {
			m.columns[order[rank]] = true
		}
	}, nil})
}

// columns is the order in which groups of columns of m go, of each of so many
// lanes the same number, as surgery.order says; with the surgeon, also what is
// lost.
func (e *Edit) columns(m *matrix, lanes, size, stay int) (order [][]int, loss []float64) {
	if e.criterion.surgeon {
		return newSurgery(m.weighed(m.dense(), nil), m.covariance()).order(lanes, size, stay)
	}
	perLane := m.k / size / lanes
	scores := make([]float64, m.k/size)
	for j, energy := range m.columnEnergies() {
		scores[j/size] += energy
	}
	order = make([][]int, lanes)
	for lane := range order {
		order[lane] = ascending(scores[lane*perLane : (lane+1)*perLane])[:perLane-stay]
	}
	return order, nil
}
