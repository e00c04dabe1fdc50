// Package prune zeroes the weights that an encoder can best do without.
//
// A graph of model operators enters, with statistics of the activations that
// calibration rows cause; the same graph leaves with some entries of its
// encoder matrices exactly zero and the biases behind them refitted. Shapes
// do not change: the compiler finds the structure in the zeros. A method
// decides which entries go, this package how many: Fixed at a given sparsity,
// Search at the largest whose loss a user's metric allows.
package prune

import (
	"etc/fault"
	"etc/ir"
)

// A Method chooses what goes. Every method is one file and one row of Methods.
type Method struct {
	Name string
	Doc  string // one line for people
	// Pick marks in e the entries that go for the given share, from 0 to 1, of
	// the units the method knows. A larger share marks no less.
	Pick func(e *Edit, share float64)
}

// Methods lists every method; the first is the default.
var Methods = []Method{
	Structured, Heads, Neurons, Widths, Rows, Columns, Tiles, NM, Elements,
}

// MethodNamed finds a method.
func MethodNamed(name string) (Method, error) {
	names := ""
	for _, m := range Methods {
		if m.Name == name {
			return m, nil
		}
		names += " " + m.Name
	}
	return Method{}, fault.Newf(fault.Usage, "pruning method %q: want one of%s", name, names)
}

// shareSteps is the resolution of the share that Fixed looks for.
const shareSteps = 256

// Fixed prunes g so that at least the given sparsity, the share of zeros in
// the encoder's matrices, is reached, and no more than needed. Zeros that were
// there count. A method that cannot reach it is fault.Unreachable.
func Fixed(g *ir.Graph, stats *Statistics, m Method, sparsity float64) (*Recipe, error) {
	low, high := 0, shareSteps // high is the smallest share known to suffice
	best, err := at(g, stats, m, 1)
	if err != nil {
		return nil, err
	}
	if best.Sparsity() < sparsity {
		return nil, fault.Newf(fault.Unreachable, "sparsity %.3g: method %s reaches %.3g at most", sparsity, m.Name, best.Sparsity()).
			WithHint("another --method, or less --sparsity")
	}
	for low < high {
		mid := (low + high) / 2
		e, err := at(g, stats, m, float64(mid)/shareSteps)
		if err != nil {
			return nil, err
		}
		if e.Sparsity() >= sparsity {
			best, high = e, mid
		} else {
			low = mid + 1
		}
	}
	return best.apply(m.Name), nil
}

func at(g *ir.Graph, stats *Statistics, m Method, share float64) (*Edit, error) {
	e, err := newEdit(g, stats)
	if err != nil {
		return nil, err
	}
	m.Pick(e, share)
	return e, nil
}
