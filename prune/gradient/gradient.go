// Package gradient takes derivatives backwards through model operators: what
// the outputs of a graph would change by if a value inside it did. No weight is
// trained by them; they tell which outputs of a product matter to the whole.
//
// The values themselves are ir/interp's. Each operator that a frontend emits has
// one function in the table pullbacks. Everything is float64, and sums run in a
// fixed order, so that bits do not depend on the number of threads.
package gradient

import (
	"slices"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/prune/linalg"
)

// A Model is what a graph of model operators does for one of its outputs, with
// weights in float64, ready to run.
type Model struct {
	graph   *ir.Graph
	program *interp.Program
}

// Load converts the weights of g that an output needs. They must not change
// afterwards.
func Load(g *ir.Graph, output string) (*Model, error) {
	g = g.Clone()
	at := slices.IndexFunc(g.Outputs, func(o ir.Output) bool { return o.Name == output })
	if at < 0 {
		return nil, fault.Newf(fault.Internal, "gradient: %s: no output %q", g.Name, output)
	}
	g.Outputs = []ir.Output{{Name: output, Value: g.Outputs[at].Value}}
	g.RemoveDead()
	p, err := interp.Load(g)
	if err != nil {
		return nil, err
	}
	return &Model{g, p.Multiplying(func(y, x, w *interp.Array) {
		linalg.AddProduct(matrix(y), 1, matrix(x), matrix(w), false, true)
	})}, nil
}

// Run takes one batch through the model and back. From the output seed makes the
// derivatives of something by it; see then gets, last operator first, each linear
// with the derivatives [R,N] by its result, for tokens or rows of the batch. Its
// errors end it.
func (m *Model) Run(in interp.Inputs, seed func(output *interp.Array) (by *interp.Array), see func(linear *ir.Op, by linalg.Matrix) error) error {
	b := &backward{offsets: in.Offsets, values: map[*ir.Value]*interp.Array{}, by: map[*ir.Value]*interp.Array{}}
	if _, err := m.program.Trace(in, func(v *ir.Value, a *interp.Array) { b.values[v] = a }); err != nil {
		return err
	}
	output := m.graph.Outputs[0].Value
	b.by[output] = seed(b.values[output])
	for i := len(m.graph.Ops) - 1; i >= 0; i-- {
		op := m.graph.Ops[i]
		by := b.by[op.Result()]
		if by == nil || op.Kind == ir.Weight || op.Kind == ir.Input {
			continue
		}
		if op.Kind == ir.Linear {
			if err := see(op, matrix(by)); err != nil {
				return err
			}
		}
		pull := pullbacks[op.Kind]
		if pull == nil {
			return fault.Newf(fault.Internal, "gradient: %s: there is no derivative of %v", op.Label, op.Kind)
		}
		b.op = op
		if err := pull(b, by); err != nil {
			return err
		}
		for _, r := range op.Results {
			delete(b.by, r)
			delete(b.values, r)
		}
	}
	return nil
}

// A backward is a batch on its way back.
type backward struct {
	op      *ir.Op // at work
	offsets []int
	values  map[*ir.Value]*interp.Array
	by      map[*ir.Value]*interp.Array // derivatives by values, of what has come back so far
}

// arg is the value of the operand of that name, nil where it is absent.
func (b *backward) arg(name string) *interp.Array {
	if v := b.op.Arg(name); v != nil {
		return b.values[v]
	}
	return nil
}

// to is where the derivatives by an operand are added up.
func (b *backward) to(name string) *interp.Array {
	v := b.op.Arg(name)
	if b.by[v] == nil {
		b.by[v] = &interp.Array{Shape: b.values[v].Shape, F: make([]float64, len(b.values[v].F))}
	}
	return b.by[v]
}

// pullbacks take derivatives by an operator's result to those by its operands.
// Sources and weights have none.
var pullbacks = map[ir.Kind]func(b *backward, by *interp.Array) error{
	ir.Activation: activation,
	ir.Add:        add,
	ir.Attention:  attention,
	ir.Embed:      embed,
	ir.LayerNorm:  layerNorm,
	ir.Linear:     linear,
	ir.SelectRows: selectRows,
	ir.Pool:       pool,
	ir.Normalize:  normalize,
	ir.LinearNLL:  linearNLL,
}

// matrix is a in its memory.
func matrix(a *interp.Array) linalg.Matrix {
	return linalg.Matrix{Rows: a.Shape[0], Cols: a.Shape[1], Stride: a.Shape[1], Data: a.F}
}

func addTo(to, x []float64) {
	for i, v := range x {
		to[i] += v
	}
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(v * y[i]) // rounded, so that no machine fuses it
	}
	return sum
}
