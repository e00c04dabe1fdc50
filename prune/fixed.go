package prune

import (
	"sort"

	"etc/fault"
	"etc/ir"
)

// Fixed prunes g so that at least the given sparsity, the share of zeros in
// the encoder's matrices, is reached, and no more than needed: all dials are
// turned evenly. Zeros that were there count. rebuild may be nil. A method
// that cannot reach it is fault.Unreachable.
func Fixed(g *ir.Graph, stats *Statistics, m Method, sparsity float64, rebuild *Rebuild) (*Recipe, error) {
	e, err := m.rank(g, stats)
	if err != nil {
		return nil, err
	}
	l, err := e.evenly(sparsity)
	if err != nil {
		return nil, err
	}
	return e.write(g, e.at(l), rebuild)
}

// write prunes g, the graph of the edit or a clone of it, to a setting.
func (e *Edit) write(g *ir.Graph, s Setting, rebuild *Rebuild) (*Recipe, error) {
	e.turn(s)
	return (&writer{Edit: e, g: g, rebuild: rebuild}).write()
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
