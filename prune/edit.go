package prune

import (
	"slices"

	"etc/fault"
	"etc/ir"
)

// A sublayer is the attention or the feed-forward block of a layer: matrices
// in the order in which activations pass them.
type sublayer struct {
	label    string
	stages   [][]*matrix // those of a stage read the same inputs
	residual *matrix     // a matrix that reads the residual stream that the last stage is added to; nil where none does
	*attention
	*ffn
}

// An attention is the four products around one attention operator.
type attention struct {
	heads, d, dv int
	q, k, v, o   *matrix
}

// A ffn is the two products of a feed-forward block: act(x·W1ᵀ+b1)·W2ᵀ.
type ffn struct{ in, out *matrix }

// An Edit is the encoder blocks of a graph and the dials of a method over
// them. It does not change the graph.
type Edit struct {
	layers    []*sublayer
	matrices  []*matrix // of all blocks, in the order of the model
	dials     []*dial
	criterion *Criterion
	stats     *Statistics
}

// A finder collects the blocks of a graph.
type finder struct {
	*Edit
	g     *ir.Graph
	taken map[*ir.Value]bool // weights in use by a matrix
}

// newEdit finds the encoder blocks of g: linears around attention operators,
// and pairs of linears around an activation. g is as a frontend makes it.
func newEdit(g *ir.Graph, stats *Statistics, c *Criterion) (*Edit, error) {
	f := &finder{&Edit{criterion: c, stats: stats}, g, map[*ir.Value]bool{}}
	for _, op := range g.Ops {
		var err error
		switch {
		case !op.Kind.Is(ir.Model) || isFused(op):
			err = fault.Newf(fault.Unsupported, "prune: %s: operator %v is fused; want a graph as imported", op.Label, op.Kind)
		case op.Kind == ir.Attention:
			err = f.attention(op)
		case op.Kind == ir.Activation:
			err = f.ffn(op)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(f.matrices) == 0 {
		return nil, fault.Newf(fault.Unsupported, "prune: the model has no encoder block")
	}
	return f.Edit, nil
}

// isFused reports whether a linear is more than x·Wᵀ + b.
func isFused(op *ir.Op) bool {
	return op.Kind == ir.Linear && (*op.Attrs.(*ir.LinearAttrs) != ir.LinearAttrs{} || op.Arg("residual") != nil || op.Arg("columns") != nil)
}

func (f *finder) attention(op *ir.Op) error {
	attrs := op.Attrs.(*ir.AttentionAttrs)
	a := &attention{heads: attrs.Heads, d: attrs.D, dv: attrs.Dv}
	for i, to := range []**matrix{&a.q, &a.k, &a.v} {
		if f.g.OnlyUser(op.Args[i]) != op {
			return f.refuse(op)
		}
		// The products of one input may have run as one, under the block's name.
		if err := f.matrix(to, op.Args[i].Def, op, op.Label); err != nil {
			return err
		}
	}
	if err := f.matrix(&a.o, f.g.OnlyUser(op.Result()), op, ""); err != nil {
		return err
	}
	for j, constant := range a.v.constantRows() {
		if constant { // its bias comes through: probabilities sum to one
			a.o.knowConstant(j, a.v.bias(j))
		}
	}
	f.layers = append(f.layers, &sublayer{
		label: op.Label, stages: [][]*matrix{{a.q, a.k, a.v}, {a.o}}, residual: f.residual(a.q, a.o), attention: a,
	})
	return nil
}

// ffn adds the pair around an activation. An activation in a task head has
// no second product with a residual behind it and is left alone.
func (f *finder) ffn(op *ir.Op) error {
	in, out := op.Args[0].Def, f.g.OnlyUser(op.Result())
	if in.Kind != ir.Linear || f.g.OnlyUser(in.Result()) != op || out == nil || out.Kind != ir.Linear {
		return nil
	}
	if next := f.g.OnlyUser(out.Result()); next == nil || next.Kind != ir.Add {
		return nil
	}
	b := &ffn{}
	if err := f.matrix(&b.in, in, op, ""); err != nil {
		return err
	}
	if err := f.matrix(&b.out, out, op, ""); err != nil {
		return err
	}
	act := op.Attrs.(*ir.ActivationAttrs).Act
	for j, constant := range b.in.constantRows() {
		if constant {
			b.out.knowConstant(j, act.Apply(b.in.bias(j)))
		}
	}
	f.layers = append(f.layers, &sublayer{
		label: op.Label, stages: [][]*matrix{{b.in}, {b.out}}, residual: f.residual(b.in, b.out), ffn: b,
	})
	return nil
}

// residual is first where what it reads is also what the output of last is
// added to, as in a layer with its norm behind; nil in one with its norm in front.
func (f *finder) residual(first, last *matrix) *matrix {
	x, sum := f.g.Ops[first.op].Arg("x"), f.g.OnlyUser(f.g.Ops[last.op].Result())
	if sum != nil && sum.Kind == ir.Add && slices.Contains(sum.Args, x) {
		return first
	}
	return nil
}

// matrix adds the matrix of linear, which stands beside op. Its inputs are
// known by the name of its weight, or by shared.
func (f *finder) matrix(to **matrix, linear, op *ir.Op, shared string) error {
	if linear == nil || linear.Kind != ir.Linear {
		return f.refuse(op)
	}
	for _, name := range []string{"w", "b"} {
		v := linear.Arg(name)
		if v != nil && (f.taken[v] || f.g.OnlyUser(v) != linear) {
			return fault.Newf(fault.Unsupported, "prune: %s: weight %q stands in several products", linear.Label, v.WeightName())
		}
		f.taken[v] = true
	}
	m, err := newMatrix(f.g, slices.Index(f.g.Ops, linear), f.stats, f.criterion, shared)
	*to = m
	f.matrices = append(f.matrices, m)
	return err
}

func (f *finder) refuse(op *ir.Op) error {
	return fault.Newf(fault.Unsupported, "prune: %s: %v without products of its own around it", op.Label, op.Kind)
}

// attentions and ffns are the sublayers of a kind.
func (e *Edit) attentions(visit func(l *sublayer, a *attention)) {
	for _, l := range e.layers {
		if l.attention != nil {
			visit(l, l.attention)
		}
	}
}

func (e *Edit) ffns(visit func(l *sublayer, f *ffn)) {
	for _, l := range e.layers {
		if l.ffn != nil {
			visit(l, l.ffn)
		}
	}
}

// A Setting is how far each dial of an edit is turned.
type Setting []int

// at is every dial turned to the same share.
func (e *Edit) at(l level) Setting {
	s := make(Setting, len(e.dials))
	for i, d := range e.dials {
		s[i] = d.at(l)
	}
	return s
}

// turn marks what goes.
func (e *Edit) turn(s Setting) {
	for _, m := range e.matrices {
		m.keepAll()
	}
	for i, d := range e.dials {
		for rank := range s[i] {
			d.remove(rank)
		}
	}
}

// zerosAt counts the entries that are zero at a setting, those that were zero
// before included.
func (e *Edit) zerosAt(s Setting) int {
	e.turn(s)
	zeros := make([]int, len(e.matrices))
	fault.Parallel(len(e.matrices), func(i int) { zeros[i] = e.matrices[i].zeros() })
	sum := 0
	for _, z := range zeros {
		sum += z
	}
	return sum
}

// entries is how many there are.
func (e *Edit) entries() int {
	total := 0
	for _, m := range e.matrices {
		total += m.n * m.k
	}
	return total
}
