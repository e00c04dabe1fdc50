package prune

// Elements zeroes single entries, the same number of every output row, by
// their energy: Wanda (Sun et al., A Simple and Effective Pruning Approach
// for Large Language Models, 2023).
var Elements = structure{"elements", "single entries of every matrix (irregular)", "energy", func(e *Edit) {
	for _, l := range e.layers {
		for _, m := range l.matrices() {
			orders := make([][]int, m.n)
			for i := range orders {
				orders[i] = ascending(m.alone(i))
			}
			e.dials = append(e.dials, &dial{all(m.k), "elements", l, func(rank int) {
				for i, order := range orders {
					m.zero(i, order[rank])
				}
			}, nil})
		}
	}
}}

// matrices are those of all stages.
func (l *sublayer) matrices() []*matrix {
	var list []*matrix
	for _, stage := range l.stages {
		list = append(list, stage...)
	}
	return list
}
