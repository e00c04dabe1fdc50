package prune

// Columns zeroes input columns of every matrix, by their energy. W_Q, W_K and
// W_V read the same inputs and lose the same ones, so that they can be
// gathered once. A column of W_O or W2 takes with it the row that made it.
var Columns = Method{"columns", "input columns of every matrix", func(e *Edit) {
	for _, a := range e.attentions {
		rankColumns(a.q, a.k, a.v)
		a.narrowValues()
	}
	for _, f := range e.ffns {
		rankColumns(f.in)
		f.removeNeurons()
	}
}}

// rankColumns ranks the columns of matrices of the same inputs, which go together.
func rankColumns(list ...*matrix) {
	scores := make([]float64, list[0].k)
	for _, m := range list {
		for j, energy := range m.columnEnergies() {
			scores[j] += energy
		}
	}
	some(len(scores)).rank(scores, func(j int, l level) {
		for _, m := range list {
			m.zeroColumn(j, l)
		}
	})
}
