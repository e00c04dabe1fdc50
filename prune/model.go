package prune

import (
	"etc/fault"
	"etc/ir"
	"etc/ir/tensor"
)

// An attention is the four products around one attention operator.
type attention struct {
	label        string
	heads, d, dv int
	q, k, v, o   *matrix
}

// A ffn is the two products of a feed-forward block: act(x·W1ᵀ+b1)·W2ᵀ.
type ffn struct {
	label   string
	in, out *matrix
}

// A matrix is the weight of one linear, in float64, and what becomes of it.
type matrix struct {
	op   *ir.Op
	n, k int
	w    []float64 // [n,k]
	b    []float64 // [n]; nil: the linear has none
	in   Moments   // of its inputs
	zero []bool    // [n,k]: entries that go
	dead []bool    // [n]: rows whose output nobody reads any more; their bias goes too
}

func newMatrix(op *ir.Op, stats *Statistics) (*matrix, error) {
	data, ok := op.Arg("w").Data()
	if !ok {
		return nil, fault.Newf(fault.Unsupported, "prune: %s: the weight of a product is computed", op.Label)
	}
	m := &matrix{op: op, n: data.Shape[0], k: data.Shape[1], w: data.Float64s()}
	if b, ok := op.Arg("b").Data(); ok {
		m.b = b.Float64s()
	}
	m.in = stats.of(op.Arg("w").WeightName(), m.k)
	m.zero, m.dead = make([]bool, m.n*m.k), make([]bool, m.n)
	return m, nil
}

// energy is what entry (i,j) adds to the mean square of output i, by itself:
// w²·E[x²]. Wanda's score, squared.
func (m *matrix) energy(i, j int) float64 {
	w := m.w[i*m.k+j]
	return w * w * m.in.Square[j]
}

// columnEnergy is the sum of energy over column j.
func (m *matrix) columnEnergy(j int) float64 {
	e := 0.0
	for i := range m.n {
		e += m.energy(i, j)
	}
	return e
}

// rowEnergy is the sum of energy over row i.
func (m *matrix) rowEnergy(i int) float64 {
	e := 0.0
	for j := range m.k {
		e += m.energy(i, j)
	}
	return e
}

func (m *matrix) zeroColumn(j int) {
	for i := range m.n {
		m.zero[i*m.k+j] = true
	}
}

func (m *matrix) zeroRow(i int) {
	for j := range m.k {
		m.zero[i*m.k+j] = true
	}
}

// kill zeroes a row together with its bias: its output is not read.
func (m *matrix) kill(i int) {
	m.zeroRow(i)
	m.dead[i] = true
}

// zeros counts the entries that are or become zero.
func (m *matrix) zeros() int {
	n := 0
	for i, w := range m.w {
		if m.zero[i] || w == 0 {
			n++
		}
	}
	return n
}

// apply writes the new values into the graph: zeros, and the bias that keeps
// each output's mean, b += (W − Ŵ)·E[x]; notes/pruning.md section 3.1. That
// is FLAP's compensation; without means (a magnitude score) it is nothing.
func (m *matrix) apply(g *ir.Graph) {
	changed := false
	for i := range m.n {
		for j := range m.k {
			at := i*m.k + j
			if !m.zero[at] || m.w[at] == 0 {
				continue
			}
			if m.b != nil && !m.dead[i] {
				m.b[i] += m.w[at] * m.in.Mean[j]
			}
			m.w[at], changed = 0, true
		}
		if m.dead[i] && m.b != nil && m.b[i] != 0 {
			m.b[i], changed = 0, true
		}
	}
	if !changed {
		return
	}
	setData(m.op.Arg("w"), m.w)
	if m.b != nil {
		setData(m.op.Arg("b"), m.b)
	}
}

// setData replaces the values of a weight, in float64: writing back rounds once.
func setData(v *ir.Value, values []float64) {
	a := v.Def.Attrs.(*ir.WeightAttrs)
	a.Data = tensor.FromFloat64s(a.Data.Shape, values)
}

// An Edit is a choice of entries that go, not yet made.
type Edit struct {
	graph      *ir.Graph
	attentions []*attention
	ffns       []*ffn
}

// newEdit finds the encoder blocks of g: linears around attention operators,
// and pairs of linears around an activation.
func newEdit(g *ir.Graph, stats *Statistics) (*Edit, error) {
	e := &Edit{graph: g}
	for _, op := range g.Ops {
		var err error
		switch op.Kind {
		case ir.Attention:
			err = e.addAttention(op, stats)
		case ir.Activation:
			err = e.addFFN(op, stats)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(e.attentions)+len(e.ffns) == 0 {
		return nil, fault.Newf(fault.Unsupported, "prune: the model has no encoder block")
	}
	return e, nil
}

func (e *Edit) addAttention(op *ir.Op, stats *Statistics) error {
	attrs := op.Attrs.(*ir.AttentionAttrs)
	a := &attention{label: op.Label, heads: attrs.Heads, d: attrs.D, dv: attrs.Dv}
	output := e.graph.OnlyUser(op.Result())
	around := []*ir.Op{op.Args[0].Def, op.Args[1].Def, op.Args[2].Def, output}
	for i, to := range []**matrix{&a.q, &a.k, &a.v, &a.o} {
		if around[i] == nil || around[i].Kind != ir.Linear {
			return fault.Newf(fault.Unsupported, "prune: %s: attention without products around it", op.Label)
		}
		m, err := newMatrix(around[i], stats)
		if err != nil {
			return err
		}
		*to = m
	}
	e.attentions = append(e.attentions, a)
	return nil
}

// addFFN adds the pair around an activation. An activation in a task head has
// no second product with a residual behind it and is left alone.
func (e *Edit) addFFN(op *ir.Op, stats *Statistics) error {
	in, out := op.Args[0].Def, e.graph.OnlyUser(op.Result())
	if in.Kind != ir.Linear || out == nil || out.Kind != ir.Linear {
		return nil
	}
	if next := e.graph.OnlyUser(out.Result()); next == nil || next.Kind != ir.Add {
		return nil
	}
	first, err := newMatrix(in, stats)
	if err != nil {
		return err
	}
	second, err := newMatrix(out, stats)
	if err != nil {
		return err
	}
	e.ffns = append(e.ffns, &ffn{op.Label, first, second})
	return nil
}

// matrices lists all, in the order of the model.
func (e *Edit) matrices() []*matrix {
	var all []*matrix
	for _, a := range e.attentions {
		all = append(all, a.q, a.k, a.v, a.o)
	}
	for _, f := range e.ffns {
		all = append(all, f.in, f.out)
	}
	return all
}

// Sparsity is the share of zeros in the matrices after the edit.
func (e *Edit) Sparsity() float64 {
	zeros, total := 0, 0
	for _, m := range e.matrices() {
		zeros += m.zeros()
		total += len(m.w)
	}
	return float64(zeros) / float64(total)
}
