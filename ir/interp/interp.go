// Package interp says what a graph means: every operator of ir.Kinds in
// float64 and plain loops, one small file to a family.
//
// A verified graph and one ragged batch enter; the values of its outputs
// leave. Nothing here is an approximation: where a kernel differs from interp
// by more than its tolerance, the kernel is wrong. Rows are independent of
// each other, and every sum runs in ascending order, so that a row gives the
// same bits in any batch.
package interp

import (
	"fmt"
	"slices"

	"etc/fault"
	"etc/ir"
	"etc/ir/tensor"
)

// An Array is a value at run time: row-major elements, in F for f32 values
// and in I for i32 values.
type Array struct {
	Shape []int
	F     []float64
	I     []int
}

// Inputs is one ragged batch: the tokens of all rows, one after another.
type Inputs struct {
	Offsets   []int // B+1 ascending numbers from 0 to T: row b is tokens Offsets[b] to Offsets[b+1]
	IDs       []int // [T]
	Types     []int // [T]
	Positions []int // [T]
	// Extra holds the inputs whose names begin with x: [T, width] or [B, width].
	Extra map[string]*Array
}

// A Program is a graph whose weights are converted to float64, ready to run.
// It may be used by several goroutines.
type Program struct {
	graph    *ir.Graph
	weights  map[*ir.Value]*Array
	integers tensor.DType // of linear operators' products; Invalid: float64
	multiply Multiply     // of products in float64; nil: plain loops
}

// Load converts the weights of g, which must verify and whose weights must
// all have values. The graph must not change afterwards.
func Load(g *ir.Graph) (*Program, error) {
	if err := ir.Verify(g, ir.Model|ir.Kernel); err != nil {
		return nil, err
	}
	p := &Program{graph: g, weights: map[*ir.Value]*Array{}}
	for _, op := range g.Ops {
		if op.Kind != ir.Weight {
			continue
		}
		a, err := constant(op)
		if err != nil {
			return nil, err
		}
		p.weights[op.Result()] = a
	}
	return p, nil
}

func constant(op *ir.Op) (*Array, error) {
	t, _ := op.Result().Data()
	a := &Array{Shape: slices.Clone(t.Shape)}
	switch {
	case t.Data == nil:
		return nil, fmt.Errorf("weight %q has no values", op.Result().WeightName())
	case t.DType.IsFloat():
		a.F = t.Float64s()
	case t.DType == tensor.I32:
		for _, x := range t.Int32s() {
			a.I = append(a.I, int(x))
		}
	default:
		return nil, fmt.Errorf("weight %q is %v, want floats or i32", op.Result().WeightName(), t.DType)
	}
	return a, nil
}

// Run evaluates g on one batch and returns all its outputs by name, those on
// demand and taps included.
func Run(g *ir.Graph, in Inputs) (map[string]*Array, error) {
	p, err := Load(g)
	if err != nil {
		return nil, err
	}
	return p.Run(in)
}

// Run evaluates the named outputs, or all where no name is given. An id,
// type, position or distance outside its table is fault.Corrupt.
func (p *Program) Run(in Inputs, names ...string) (map[string]*Array, error) {
	return p.run(in, names, nil)
}

// Trace is Run of all outputs that also shows every value as it is computed.
// Values that are shown must not be changed.
func (p *Program) Trace(in Inputs, see func(v *ir.Value, a *Array)) (map[string]*Array, error) {
	return p.run(in, nil, see)
}

func (p *Program) run(in Inputs, names []string, see func(*ir.Value, *Array)) (map[string]*Array, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	outputs, err := p.outputs(names)
	if err != nil {
		return nil, err
	}
	left := uses(p.graph, outputs, see != nil)
	values := map[*ir.Value]*Array{}
	for _, op := range p.graph.Ops {
		if left[op] == 0 {
			continue
		}
		results, err := p.eval(op, values, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.graph.Name, err)
		}
		for i, v := range op.Results {
			values[v] = results[i]
			if see != nil {
				see(v, results[i])
			}
		}
		for _, a := range op.Args {
			if a == nil {
				continue
			}
			if left[a.Def]--; left[a.Def] == 0 {
				for _, r := range a.Def.Results {
					delete(values, r)
				}
			}
		}
	}
	found := map[string]*Array{}
	for _, o := range outputs {
		found[o.Name] = values[o.Value]
	}
	return found, nil
}

// outputs returns the named outputs of the graph, or all of them.
func (p *Program) outputs(names []string) ([]ir.Output, error) {
	if len(names) == 0 {
		return p.graph.Outputs, nil
	}
	var found []ir.Output
	for _, name := range names {
		i := slices.IndexFunc(p.graph.Outputs, func(o ir.Output) bool { return o.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: no output %q", p.graph.Name, name)
		}
		found = append(found, p.graph.Outputs[i])
	}
	return found, nil
}

// uses counts for each operator how often its results are read by operators
// that the outputs need, and by the outputs. With all, every operator is needed.
func uses(g *ir.Graph, outputs []ir.Output, all bool) map[*ir.Op]int {
	n := map[*ir.Op]int{}
	for _, o := range outputs {
		n[o.Value.Def]++
	}
	for _, op := range slices.Backward(g.Ops) {
		if all {
			n[op]++
		}
		if n[op] == 0 {
			continue
		}
		for _, a := range op.Args {
			if a != nil {
				n[a.Def]++
			}
		}
	}
	return n
}

func (p *Program) eval(op *ir.Op, values map[*ir.Value]*Array, in Inputs) ([]*Array, error) {
	switch op.Kind {
	case ir.Weight:
		return []*Array{p.weights[op.Result()]}, nil
	case ir.Input:
		a, err := in.named(op)
		return []*Array{a}, err
	}
	results, err := definitions[op.Kind](&call{op, values, in.Offsets, p.integers, p.multiply})
	if err != nil {
		return nil, fmt.Errorf("%v %q: %w", op.Kind, op.Label, err)
	}
	return results, nil
}

// definitions is what each operator means. Sources are not in it.
var definitions = map[ir.Kind]func(c *call) ([]*Array, error){
	ir.Activation: activation,
	ir.Add:        add,
	ir.Gather:     gather,
	ir.Scatter:    scatter,
	ir.Attention:  attention,

	ir.Embed:      embed,
	ir.LayerNorm:  layerNorm,
	ir.Linear:     linear,
	ir.SelectRows: selectRows,
	ir.Pool:       pool,
	ir.Normalize:  normalize,
	ir.LinearNLL:  linearNLL,

	ir.EmbedLayerNorm:      embedLayerNorm,
	ir.SkipLayerNorm:       skipLayerNorm,
	ir.BlockSparseLinear:   linear, // how w is kept does not change what it means
	ir.CSRLinear:           linear,
	ir.Sparse24Linear:      linear,
	ir.OTFAttention:        fusedAttention,
	ir.PartialOTFAttention: fusedAttention,
	ir.FlashAttention:      fusedAttention,
	ir.VOAttention:         voAttention,
}

// A call is one operator at work.
type call struct {
	op       *ir.Op
	values   map[*ir.Value]*Array
	offsets  []int // of the batch
	integers tensor.DType
	multiply Multiply
}

// arg is the operand of that name, nil where it is absent.
func (c *call) arg(name string) *Array {
	if v := c.op.Arg(name); v != nil {
		return c.values[v]
	}
	return nil
}

func one(a *Array) ([]*Array, error) { return []*Array{a}, nil }

func zeros(shape ...int) *Array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return &Array{Shape: shape, F: make([]float64, n)}
}

func (a *Array) rows() int  { return a.Shape[0] }
func (a *Array) width() int { return a.Shape[1] }

// Row is row i of a matrix.
func (a *Array) Row(i int) []float64 {
	w := a.width()
	return a.F[i*w : (i+1)*w : (i+1)*w]
}

// entry is a table's row i. Numbers come from outside.
func (a *Array) entry(table string, i int) ([]float64, error) {
	if i < 0 || i >= a.rows() {
		return nil, fault.Newf(fault.Corrupt, "%s %d: the table has %d rows", table, i, a.rows())
	}
	return a.Row(i), nil
}
