package prune_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
	"etc/prune"
)

// A block is the products of one encoder block.
type block struct {
	heads, d, dv int      // 0 in a feed-forward block
	q, k, v, o   *ir.Op   // nil in a feed-forward block
	in, out      *ir.Op   // nil in an attention block
	all          []*ir.Op // those that are not nil
}

func blocksOf(g *ir.Graph) []block {
	var blocks []block
	for _, op := range g.Ops {
		switch op.Kind {
		case ir.Attention:
			a := op.Attrs.(*ir.AttentionAttrs)
			b := block{heads: a.Heads, d: a.D, dv: a.Dv, q: op.Args[0].Def, k: op.Args[1].Def, v: op.Args[2].Def, o: g.OnlyUser(op.Result())}
			b.all = []*ir.Op{b.q, b.k, b.v, b.o}
			blocks = append(blocks, b)
		case ir.Activation:
			out := g.OnlyUser(op.Result())
			if next := g.OnlyUser(out.Result()); next != nil && next.Kind == ir.Add {
				b := block{in: op.Args[0].Def, out: out}
				b.all = []*ir.Op{b.in, b.out}
				blocks = append(blocks, b)
			}
		}
	}
	return blocks
}

// randomGraph is one of irtest's as a frontend would make it: activations
// stand alone. Zeros that come with it stay only where wanted.
func randomGraph(rng *rand.Rand, zeros bool) *ir.Graph {
	g := irtest.RandomGraph(rng)
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Linear {
			continue
		}
		a := op.Attrs.(*ir.LinearAttrs)
		if a.Act == ir.NoAct {
			continue
		}
		next := slices.Index(g.Ops, op) + 1
		if next == len(g.Ops) {
			g.New(ir.Activation, &ir.ActivationAttrs{Act: a.Act}, op.Label, op.Result())
		} else {
			g.NewBefore(g.Ops[next], ir.Activation, &ir.ActivationAttrs{Act: a.Act}, op.Label, op.Result())
		}
		act := g.Ops[next]
		g.ReplaceUses(op.Result(), act.Result())
		act.Args[0], a.Act = op.Result(), ir.NoAct
	}
	if !zeros {
		for _, b := range blocksOf(g) {
			for _, op := range b.all {
				refill(rng, op.Arg("w"))
				if op.Arg("b") != nil {
					refill(rng, op.Arg("b"))
				}
			}
		}
	}
	return g
}

func attrs(v *ir.Value) *ir.WeightAttrs { return v.Def.Attrs.(*ir.WeightAttrs) }

func values(op *ir.Op, name string) []float64 {
	t, ok := op.Arg(name).Data()
	if !ok {
		return nil
	}
	return t.Float64s()
}

// refill replaces zeros, in the dtype of the weight.
func refill(rng *rand.Rand, v *ir.Value) {
	t := attrs(v).Data
	x := t.Float64s()
	for i := range x {
		for x[i] == 0 {
			x[i] = float64(rng.IntN(17)-8) / 16
		}
	}
	attrs(v).Data = tensor.FromFloat64s(t.Shape, x).Convert(t.DType)
}

// change gives f the values of a weight to change; nil changes nothing.
func change(v *ir.Value, f func(x []float64)) {
	if v == nil {
		return
	}
	t := attrs(v).Data
	x := t.Float64s()
	f(x)
	attrs(v).Data = tensor.FromFloat64s(t.Shape, x).Convert(t.DType)
}

func clearRow(op *ir.Op, i int) {
	k := attrs(op.Arg("w")).Data.Shape[1]
	change(op.Arg("w"), func(x []float64) { clear(x[i*k : (i+1)*k]) })
}

func clearColumn(op *ir.Op, j int) {
	k := attrs(op.Arg("w")).Data.Shape[1]
	change(op.Arg("w"), func(x []float64) {
		for ; j < len(x); j += k {
			x[j] = 0
		}
	})
}

func clearBias(op *ir.Op, i int) { change(op.Arg("b"), func(x []float64) { x[i] = 0 }) }

func shape(op *ir.Op) (n, k int) {
	s := attrs(op.Arg("w")).Data.Shape
	return s[0], s[1]
}

// zeroShare counts the zeros in the matrices of the blocks.
func zeroShare(g *ir.Graph) (zeros, total int) {
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			w := values(op, "w")
			total += len(w)
			for _, x := range w {
				if x == 0 {
					zeros++
				}
			}
		}
	}
	return zeros, total
}

// method finds a method.
func method(t *testing.T, name string) prune.Method {
	t.Helper()
	m, err := prune.MethodNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// structureOf is the name of a method without its criterion.
func structureOf(m prune.Method) string {
	name, _, _ := strings.Cut(m.Name, ":")
	return name
}

// fixed prunes a copy of g, without a pass through what is pruned already; nil where the method cannot reach the sparsity.
func fixed(t *testing.T, g *ir.Graph, stats *prune.Statistics, m prune.Method, sparsity float64) (*ir.Graph, *prune.Recipe) {
	t.Helper()
	c := g.Clone()
	r, err := prune.Fixed(c, stats, m, sparsity, nil)
	if err != nil {
		checkFault(t, err, unreachable, "method "+m.Name+" reaches")
		return nil, nil
	}
	if err := ir.Verify(c, ir.Model); err != nil {
		t.Fatal(err)
	}
	return c, r
}

// calibrate runs g and returns what its products saw, with those rows by
// product, rounded as an executor's are.
func calibrate(t *testing.T, g *ir.Graph, in interp.Inputs) (*prune.Statistics, map[*ir.Op][][]float32) {
	t.Helper()
	p, err := interp.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	seen, stats := map[*ir.Op][][]float32{}, &prune.Statistics{}
	outputs := map[*ir.Value]*interp.Array{}
	if _, err := p.Trace(in, func(v *ir.Value, a *interp.Array) { outputs[v] = a }); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			x := outputs[op.Arg("x")]
			for i := range x.Shape[0] {
				row := make([]float32, x.Shape[1])
				for j := range row {
					row[j] = float32(x.F[i*len(row)+j])
				}
				seen[op] = append(seen[op], row)
				stats.Add(op.Arg("w").WeightName(), row)
			}
		}
	}
	return stats, seen
}

// bytesOf are all weights of g, one after another.
func bytesOf(g *ir.Graph) []byte {
	var all bytes.Buffer
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok {
			all.WriteString(a.Name)
			all.Write(a.Data.Data)
		}
	}
	return all.Bytes()
}
