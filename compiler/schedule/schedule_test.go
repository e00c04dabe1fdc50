package schedule

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"etc/compiler/transform"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// lowered is a random graph of kernel operators.
func lowered(seed uint64) *ir.Graph {
	g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 1)))
	pass.Run(g, transform.Passes(transform.Options{}), transform.Lowered, nil)
	return g
}

const graphs = 300

// life is the first and the last step at which v must keep its value.
func life(s *Schedule, g *ir.Graph, v *ir.Value) (first, last int) {
	first = slices.Index(s.Ops, v.Def)
	last = first
	for i, op := range s.Ops {
		if slices.Contains(op.Args, v) {
			last = i
		}
	}
	for _, o := range g.Outputs {
		if o.Value == v && o.When != ir.Tap {
			last = len(s.Ops)
		}
	}
	return first, last
}

// TestLiveValuesDoNotOverlap, nor does a result lie over an operand.
func TestLiveValuesDoNotOverlap(t *testing.T) {
	for seed := range uint64(graphs) {
		g := lowered(seed)
		s := Make(g)
		for v, i := range s.Place {
			a := s.Buffers[i]
			first, last := life(s, g, v)
			for w, j := range s.Place {
				b := s.Buffers[j]
				wFirst, wLast := life(s, g, w)
				if v != w && first <= wLast && wFirst <= last && a.Rows == b.Rows && a.Offset < b.Offset+b.Stride && b.Offset < a.Offset+a.Stride {
					t.Fatalf("seed %d: %+v of steps %d to %d lies over %+v of steps %d to %d", seed, a, first, last, b, wFirst, wLast)
				}
			}
			if a.Offset%align != 0 || a.Stride%align != 0 || a.Stride < 4*a.Width || a.Width != width(v) {
				t.Fatalf("seed %d: buffer %+v", seed, a)
			}
		}
	}
}

// TestEveryReadValueHasAPlace and what nothing reads has none.
func TestEveryReadValueHasAPlace(t *testing.T) {
	for seed := range uint64(graphs) {
		g := lowered(seed)
		s := Make(g)
		read := map[*ir.Value]bool{}
		for _, o := range g.Outputs {
			read[o.Value] = true
		}
		for _, op := range s.Ops {
			for _, a := range op.Args {
				if a != nil && slices.Contains(s.Ops, a.Def) {
					read[a] = true
				}
			}
		}
		for _, op := range s.Ops {
			for _, r := range op.Results {
				if _, ok := s.Place[r]; ok != read[r] {
					t.Fatalf("seed %d: a value is read: %v, has a place: %v", seed, read[r], ok)
				}
			}
		}
	}
}

// planOf is s as far as plan.ArenaBytes reads it.
func planOf(s *Schedule) *plan.Program {
	p := &plan.Program{Buffers: s.Buffers}
	for i, op := range s.Ops {
		st := plan.Step{Needed: s.Needed[i]}
		for _, r := range op.Results {
			at, ok := s.Place[r]
			if !ok {
				at = plan.Unused
			}
			st.Results = append(st.Results, at)
		}
		p.Steps = append(p.Steps, st)
	}
	return p
}

// outputs is the set of those that are computed in one of the given ways.
func outputs(g *ir.Graph, when ...ir.When) uint64 {
	set := uint64(0)
	for i, o := range g.Outputs {
		if slices.Contains(when, o.When) {
			set |= 1 << i
		}
	}
	return set
}

// TestOnDemandCostsNothingUnasked: without them the arena is that of a graph
// that has none, apart from values that both need; and never more than all
// values side by side.
func TestOnDemandCostsNothingUnasked(t *testing.T) {
	smaller := 0
	for seed := range uint64(graphs) {
		g := lowered(seed)
		s := Make(g)
		p := planOf(s)
		all := [3]int{}
		always := [3]int{} // side by side, of the values that outputs always computed need
		for v, i := range s.Place {
			b := s.Buffers[i]
			all[b.Rows] += b.Stride
			if s.Needed[slices.Index(s.Ops, v.Def)]&outputs(g, ir.Always) != 0 {
				always[b.Rows] += b.Stride
			}
		}
		tokens, rows := p.ArenaBytes(outputs(g, ir.Always, ir.OnDemand, ir.Tap))
		if tokens > all[plan.PerToken] || rows > all[plan.PerRow] {
			t.Fatalf("seed %d: arenas of %d and %d bytes, side by side %v", seed, tokens, rows, all)
		}
		fewTokens, fewRows := p.ArenaBytes(outputs(g, ir.Always))
		if fewTokens > always[plan.PerToken] || fewRows > always[plan.PerRow] || fewTokens > tokens || fewRows > rows {
			t.Fatalf("seed %d: arenas of %d and %d bytes for what is always computed, side by side %v", seed, fewTokens, fewRows, always)
		}
		if fewTokens < tokens || fewRows < rows {
			smaller++
		}
	}
	if smaller < graphs/10 {
		t.Errorf("only in %d of %d graphs do outputs on demand add to the arena", smaller, graphs)
	}
}

// TestArenaIsShared: values that live one after another share their place, so
// that a model of many layers takes no more than one of two.
func TestArenaIsShared(t *testing.T) {
	build := func(layers int) *plan.Program {
		g := &ir.Graph{Name: "chain"}
		ids := g.NewInput("ids", ir.I32(ir.T))
		x := g.New(ir.Embed, &ir.EmbedAttrs{}, "", ids, nil, nil, weight(g, "word", 5, 32), nil, nil).Result()
		w := weight(g, "w", 32, 32)
		for range layers {
			x = g.New(ir.Linear, &ir.LinearAttrs{}, "", x, w).Result()
		}
		g.Outputs = []ir.Output{{Name: "out", Value: x}}
		return planOf(Make(g))
	}
	few, _ := build(2).ArenaBytes(1)
	many, _ := build(20).ArenaBytes(1)
	if few != many || few != 2*32*4 {
		t.Errorf("%d bytes a token with 2 layers, %d with 20, want %d", few, many, 2*32*4)
	}
}

// weight is one of that shape; its values do not matter.
func weight(g *ir.Graph, name string, n, k int) *ir.Value {
	return g.NewWeight(name, tensor.FromFloat32s([]int{n, k}, make([]float32, n*k)))
}

// TestNeededSteps: an output needs its step and all that this reads.
func TestNeededSteps(t *testing.T) {
	for seed := range uint64(graphs) {
		g := lowered(seed)
		s := Make(g)
		for i, o := range g.Outputs {
			want := map[*ir.Op]bool{}
			var visit func(v *ir.Value)
			visit = func(v *ir.Value) {
				if v == nil || want[v.Def] {
					return
				}
				want[v.Def] = true
				for _, a := range v.Def.Args {
					visit(a)
				}
			}
			visit(o.Value)
			for j, op := range s.Ops {
				if got := s.Needed[j]>>i&1 != 0; got != want[op] {
					t.Fatalf("seed %d: output %q needs step %d: %v, want %v", seed, o.Name, j, got, want[op])
				}
			}
			if s.Ops[s.After[i]] != o.Value.Def {
				t.Fatalf("seed %d: output %q leaves after step %d", seed, o.Name, s.After[i])
			}
		}
	}
}

func TestScheduleIsDeterministic(t *testing.T) {
	for seed := range uint64(20) {
		first := Make(lowered(seed))
		for range 5 {
			if again := Make(lowered(seed)); !reflect.DeepEqual(first.Buffers, again.Buffers) || !reflect.DeepEqual(first.Needed, again.Needed) {
				t.Fatalf("seed %d: another schedule of the same graph", seed)
			}
		}
	}
}
