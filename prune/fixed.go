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
	l, err := e.evenly(sparsity)
	if err != nil {
		return nil, err
	}
	return e.write(g, e.at(l), calibrate)
}

// evenly is the lowest level of all dials that reaches a sparsity.
func (e *Edit) evenly(sparsity float64) (level, error) {
	total := float64(e.entries())
	reached := func(l level) float64 { return float64(e.zerosAt(e.at(l))) }
	l := level(sort.Search(int(levels), func(l int) bool { return reached(level(l)) >= sparsity*total }))
	if zeros := reached(l); zeros < sparsity*total {
		return 0, fault.Newf(fault.Unreachable, "sparsity %.3g: method %s reaches %.3g at most", sparsity, e.method, zeros/total).
			WithHint("another --method, or less --sparsity")
	}
	return l, nil
}
