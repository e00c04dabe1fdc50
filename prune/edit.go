package prune

import (
	"slices"

	"etc/fault"
	"etc/ir"
	"etc/ir/sparse"
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
	before       widths // gone before pruning
}

// widths are numbers of heads and of features of the widest head, for scores and values.
type widths struct{ heads, d, dv int }

// A ffn is the two products of a feed-forward block: act(x·W1ᵀ+b1)·W2ᵀ.
type ffn struct {
	in, out *matrix
	before  int // neurons that were gone before pruning
}

// An Edit is the encoder blocks of a graph and the dials of a method over
// them. It does not change the graph.
type Edit struct {
	layers    []*sublayer
	matrices  []*matrix // of all blocks, in the order of the model
	dials     []*dial
	method    string
	criterion *Criterion
	stats     *Statistics
}

// A finder reads the blocks of a graph.
type finder struct {
	*Edit
	g     *ir.Graph
	taken map[*ir.Value]bool // weights in use by a matrix
}

// newEdit reads the encoder blocks of g.
func newEdit(g *ir.Graph, stats *Statistics, m Method) (*Edit, error) {
	blocks, err := Sublayers(g)
	if err != nil {
		return nil, err
	}
	f := &finder{&Edit{method: m.Name, criterion: m.criterion, stats: stats}, g, map[*ir.Value]bool{}}
	for i := range blocks {
		read := f.attention
		if blocks[i].In != nil {
			read = f.ffn
		}
		if err := read(&blocks[i]); err != nil {
			return nil, err
		}
	}
	return f.Edit, nil
}

func (f *finder) attention(p *Products) error {
	op := p.Around
	attrs := op.Attrs.(*ir.AttentionAttrs)
	a := &attention{heads: attrs.Heads, d: attrs.D, dv: attrs.Dv}
	for _, of := range []struct {
		to     **matrix
		linear *ir.Op
		shared string // the products of one input may have run as one, under the block's name
	}{{&a.q, p.Q, op.Label}, {&a.k, p.K, op.Label}, {&a.v, p.V, op.Label}, {&a.o, p.O, ""}} {
		if err := f.matrix(of.to, of.linear, of.shared); err != nil {
			return err
		}
	}
	for j, constant := range a.v.constantRows() {
		if constant { // its bias comes through: probabilities sum to one
			a.o.knowConstant(j, a.v.bias(j))
		}
	}
	a.before = a.goneBefore()
	f.layers = append(f.layers, &sublayer{
		label: op.Label, stages: [][]*matrix{{a.q, a.k, a.v}, {a.o}}, residual: f.residual(a.q, a.o), attention: a,
	})
	return nil
}

func (f *finder) ffn(p *Products) error {
	b := &ffn{}
	if err := f.matrix(&b.in, p.In, ""); err != nil {
		return err
	}
	if err := f.matrix(&b.out, p.Out, ""); err != nil {
		return err
	}
	act := p.Around.Attrs.(*ir.ActivationAttrs).Act
	for j, constant := range b.in.constantRows() {
		if constant {
			b.out.knowConstant(j, act.Apply(b.in.bias(j)))
		}
	}
	b.before = countTrue(goneBefore(b.in, b.out))
	f.layers = append(f.layers, &sublayer{
		label: p.Around.Label, stages: [][]*matrix{{b.in}, {b.out}}, residual: f.residual(b.in, b.out), ffn: b,
	})
	return nil
}

// goneBefore marks the outputs of from that are the same for every token, or that nothing
// in to reads: the compiler leaves them out.
func goneBefore(from, to *matrix) []bool {
	gone := from.constantRows()
	for j, unread := range sparse.ZeroColumns(to.w) {
		gone[j] = gone[j] || unread
	}
	return gone
}

// goneBefore is what of heads has zeros already.
func (a *attention) goneBefore() widths {
	values, scores := goneBefore(a.v, a.o), make([]bool, a.heads*a.d)
	for _, m := range []*matrix{a.q, a.k} {
		for i, constant := range m.constantRows() {
			scores[i] = scores[i] || constant && m.bias(i) == 0
		}
	}
	kept := widths{}
	for h := range a.heads {
		if dv := a.dv - countTrue(values[h*a.dv:(h+1)*a.dv]); dv > 0 {
			kept.heads, kept.dv = kept.heads+1, max(kept.dv, dv)
			kept.d = max(kept.d, a.d-countTrue(scores[h*a.d:(h+1)*a.d]))
		}
	}
	return widths{a.heads - kept.heads, a.d - kept.d, a.dv - kept.dv}
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

// matrix adds the matrix of linear. Its inputs are known by the name of its
// weight, or by shared.
func (f *finder) matrix(to **matrix, linear *ir.Op, shared string) error {
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
	sum := 0
	for _, z := range e.zerosOf(s) {
		sum += z
	}
	return sum
}

// zerosOf counts them by matrix.
func (e *Edit) zerosOf(s Setting) map[*matrix]int {
	e.turn(s)
	zeros := make([]int, len(e.matrices))
	fault.Parallel(len(e.matrices), func(i int) { zeros[i] = e.matrices[i].zeros() })
	by := map[*matrix]int{}
	for i, m := range e.matrices {
		by[m] = zeros[i]
	}
	return by
}

// entries is how many there are.
func (e *Edit) entries() int {
	total := 0
	for _, m := range e.matrices {
		total += m.n * m.k
	}
	return total
}
