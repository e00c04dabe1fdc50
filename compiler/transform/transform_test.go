package transform_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/compiler/transform"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// everything is options under which every pass has work: products take
// whatever sparse form they can, and V·O is precomputed now and then.
var everything = transform.Options{
	PrecomputePays: func(a *ir.AttentionAttrs, k, n int) bool { return a.D%2 == 0 },
	LinearForm: func(w sparse.Matrix) ir.Kind {
		switch {
		case w.NM24:
			return ir.Sparse24Linear
		case w.Tiles*sparse.Tile*sparse.Tile < w.N*w.K:
			return ir.BlockSparseLinear
		case w.NonZeros*2 < w.N*w.K:
			return ir.CSRLinear
		}
		return ir.Linear
	},
}

// graphs is how many random graphs each property is tried on.
const graphs = 250

// TestPassesKeepMeaning runs every pass where it stands in the list, and
// compares what it leaves with what it got.
func TestPassesKeepMeaning(t *testing.T) {
	worked := map[string]int{}
	for seed := range uint64(graphs) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0)))
		first := g.Clone()
		level := ir.Model | ir.Kernel
		for _, p := range transform.Passes(everything) {
			before := g.Clone()
			n := p.Run(g)
			if p.Name == transform.Lowered {
				level = ir.Kernel
			}
			verify(t, g, level, seed, p.Name)
			if n == 0 {
				unchanged(t, before, g, seed, p.Name)
				continue
			}
			worked[p.Name]++
			equivalent(t, before, g, seed)
		}
		equivalent(t, first, g, seed)
	}
	t.Log(worked)
	for _, p := range transform.Passes(everything) {
		if worked[p.Name] < graphs/100 && p.Name != "merge-weights" && p.Name != "remove-dead" && p.Name != "fuse-residual" {
			t.Errorf("%s rewrote %d of %d graphs", p.Name, worked[p.Name], graphs)
		}
	}
}

// TestEachPassAlone runs every pass on a graph as it is imported: the order
// of the list serves what passes find, never what is right.
func TestEachPassAlone(t *testing.T) {
	for _, p := range transform.Passes(everything) {
		t.Run(p.Name, func(t *testing.T) {
			for seed := range uint64(graphs) {
				before := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 1)))
				after := before.Clone()
				n := p.Run(after)
				verify(t, after, ir.Model|ir.Kernel, seed, p.Name)
				if n == 0 {
					unchanged(t, before, after, seed, p.Name)
				} else {
					equivalent(t, before, after, seed)
				}
			}
		})
	}
}

// TestAnyOrder: every pass is right after any others, as far as it finds its operators.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(graphs) {
		rng := rand.New(rand.NewPCG(seed, 2))
		before := irtest.RandomGraph(rng)
		after := before.Clone()
		passes := transform.Passes(everything)
		rng.Shuffle(len(passes), func(i, j int) { passes[i], passes[j] = passes[j], passes[i] })
		var names []string
		for _, p := range passes {
			p.Run(after)
			names = append(names, p.Name)
			verify(t, after, ir.Model|ir.Kernel, seed, fmt.Sprint(names))
		}
		equivalent(t, before, after, seed)
	}
}

// TestFixedPoint: passes that close over zeros leave nothing to themselves.
func TestFixedPoint(t *testing.T) {
	passes := transform.Passes(everything)
	last := slices.IndexFunc(passes, func(p pass.Pass) bool { return p.Name == "prune-ffn" })
	for seed := range uint64(graphs) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 3)))
		pass.Run(g, passes[:last+1], "", nil)
		before := ir.Print(g)
		for _, p := range passes[:last+1] {
			if n := p.Run(g); n != 0 {
				t.Fatalf("seed %d: %s finds %d more\n%s--- after\n%s", seed, p.Name, n, before, ir.Print(g))
			}
		}
	}
}

// TestLoweredDense: the list is whole without what finds structure, too.
func TestLoweredDense(t *testing.T) {
	for seed := range uint64(graphs) {
		before := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 4)))
		after := before.Clone()
		pass.Run(after, transform.Passes(transform.Options{Dense: true}), transform.Lowered, nil)
		equivalent(t, before, after, seed)
	}
}

// unchanged: a pass that reports no rewrite has made none.
func unchanged(t *testing.T, before, after *ir.Graph, seed uint64, name string) {
	t.Helper()
	if ir.Print(before) != ir.Print(after) {
		t.Fatalf("seed %d: %s reports no change\n%s--- after\n%s", seed, name, ir.Print(before), ir.Print(after))
	}
}

func verify(t *testing.T, g *ir.Graph, level ir.Level, seed uint64, after string) {
	t.Helper()
	if err := ir.Verify(g, level); err != nil {
		t.Fatalf("seed %d: after %s: %v\n%s", seed, after, err, ir.Print(g))
	}
	if n := g.Clone().RemoveDead(); n > 0 {
		t.Fatalf("seed %d: after %s: %d dead operators\n%s", seed, after, n, ir.Print(g))
	}
}

// equivalent is irtest.Equivalent, but for taps that trim-last-layer left the
// picked rows of: those are compared with the same rows before.
func equivalent(t *testing.T, before, after *ir.Graph, seed uint64) {
	t.Helper()
	irtest.Equivalent(t, pickTaps(before, after), after, seed)
}

func pickTaps(before, after *ir.Graph) *ir.Graph {
	before = before.Clone()
	for i, o := range before.Outputs {
		j := slices.IndexFunc(after.Outputs, func(p ir.Output) bool { return p.Name == o.Name })
		if j < 0 || o.Value.Type.Rows() == after.Outputs[j].Value.Type.Rows() {
			continue
		}
		for _, op := range before.Ops {
			if op.Kind == ir.SelectRows {
				attrs := *op.Attrs.(*ir.SelectRowsAttrs)
				before.Outputs[i].Value = before.New(ir.SelectRows, &attrs, "", o.Value, op.Arg("offsets")).Result()
				break
			}
		}
	}
	return before
}
