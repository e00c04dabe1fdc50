package prune

import (
	"slices"

	"etc/fault"
	"etc/ir"
)

// An attention is the four products around one attention operator.
type attention struct {
	heads, d, dv int
	q, k, v, o   *matrix
}

// A ffn is the two products of a feed-forward block: act(x·W1ᵀ+b1)·W2ᵀ.
type ffn struct{ in, out *matrix }

// An Edit is the encoder blocks of a graph and the order in which their
// entries go. It does not change the graph.
type Edit struct {
	attentions []*attention
	ffns       []*ffn
	matrices   []*matrix // of all blocks, in the order of the model
}

// A finder collects the blocks of a graph.
type finder struct {
	*Edit
	g     *ir.Graph
	stats *Statistics
	taken map[*ir.Value]bool // weights in use by a matrix
}

// newEdit finds the encoder blocks of g: linears around attention operators,
// and pairs of linears around an activation. g is as a frontend makes it.
func newEdit(g *ir.Graph, stats *Statistics) (*Edit, error) {
	f := &finder{&Edit{}, g, stats, map[*ir.Value]bool{}}
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
	f.attentions = append(f.attentions, a)
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
	f.ffns = append(f.ffns, b)
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
	m, err := newMatrix(f.g, slices.Index(f.g.Ops, linear), f.stats, shared)
	*to = m
	f.matrices = append(f.matrices, m)
	return err
}

func (f *finder) refuse(op *ir.Op) error {
	return fault.Newf(fault.Unsupported, "prune: %s: %v without products of its own around it", op.Label, op.Kind)
}

// zerosByLevel counts for every level up to levels the entries that are zero
// there, those that were zero before included.
func (e *Edit) zerosByLevel() (zeros []int, total int) {
	zeros = make([]int, int(never)+1)
	for _, m := range e.matrices {
		total += m.n * m.k
		for i := range m.n {
			goes := m.levelsOf(i)
			for j, w := range m.row(i) {
				if w == 0 {
					zeros[0]++
				} else {
					zeros[goes[j]]++
				}
			}
		}
	}
	zeros = zeros[:levels+1]
	for l := 1; l < len(zeros); l++ {
		zeros[l] += zeros[l-1]
	}
	return zeros, total
}
