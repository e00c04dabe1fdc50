package prune

import (
	"sort"

	"etc/fault"
	"etc/ir"
)

// Fixed prunes g so that at least the given sparsity, the share of zeros in
// the encoder's matrices, is reached, and no more than needed: all dials are
// turned evenly. Zeros that were there count. calibrate may be nil. A method
// that cannot reach it is fault.Unreachable.
func Fixed(g *ir.Graph, stats *Statistics, m Method, sparsity float64, calibrate Calibrate) (*Recipe, error) {
	e, err := m.rank(g, stats)
	if err != nil {
		return nil, err
	}
	total := e.entries()
	l := level(sort.Search(int(levels), func(l int) bool {
		return float64(e.zerosAt(e.at(level(l)))) >= sparsity*float64(total)
	}))
	s := e.at(l)
	if zeros := e.zerosAt(s); float64(zeros) < sparsity*float64(total) {
		return nil, fault.Newf(fault.Unreachable, "sparsity %.3g: method %s reaches %.3g at most", sparsity, m.Name, float64(zeros)/float64(total)).
			WithHint("another --method, or less --sparsity")
	}
	return e.write(g, s, calibrate)
}
