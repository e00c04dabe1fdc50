// Package prune zeroes the weights that an encoder can best do without.
//
// A graph of model operators enters, with statistics of the activations that
// calibration rows cause; the same graph leaves with some entries of its
// encoder matrices exactly +0 and the biases behind them refitted. Shapes,
// dtypes and the entries that stay do not change: the compiler finds the
// structure in the zeros.
//
// A method ranks the entries once: each gets the level from which on it is
// zero. How far to go is then one number, so that zeros of a lower level stay
// zeros at every higher one. Fixed goes to a given sparsity, a Quest to the
// largest whose loss a user's metric allows.
package prune

import (
	"etc/fault"
	"etc/ir"
)

// A Method says in which order entries go. Every method is one file and one
// row of Methods.
type Method struct {
	Name string
	Doc  string // one line for people
	Rank func(e *Edit)
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

// Fixed prunes g so that at least the given sparsity, the share of zeros in
// the encoder's matrices, is reached, and no more than needed. Zeros that were
// there count. A method that cannot reach it is fault.Unreachable.
func Fixed(g *ir.Graph, stats *Statistics, m Method, sparsity float64) (*Recipe, error) {
	e, err := newEdit(g, stats)
	if err != nil {
		return nil, err
	}
	m.Rank(e)
	zeros, total := e.zerosByLevel()
	for l, n := range zeros {
		if float64(n) >= sparsity*float64(total) {
			return e.write(g, level(l), m.Name), nil
		}
	}
	return nil, fault.Newf(fault.Unreachable, "sparsity %.3g: method %s reaches %.3g at most", sparsity, m.Name, float64(zeros[levels])/float64(total)).
		WithHint("another --method, or less --sparsity")
}
