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
	"etc/ir/tensor"
)

// everything is options under which every pass has work: products take
// whatever sparse form they can, and V·O is precomputed now and then.
var everything = transform.Options{
	HeadMultiple:   8,
	PrecomputePays: func(a *ir.AttentionAttrs, k, n int) bool { return a.D%2 == 0 && n < 64 },
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
const graphs = 200

// TestPassesKeepMeaning runs every pass where it stands in the list, and
// compares what it leaves with what it got.
func TestPassesKeepMeaning(t *testing.T) {
	t.Parallel()
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

// TestAnyOrder: every pass is right after any others and on a graph as it is
// imported. The order of the list serves what passes find, never what is right.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// TestUntouchedWeights: what no pass computes keeps its dtype and memory.
func TestUntouchedWeights(t *testing.T) {
	data := tensor.FromFloat32s([]int{4, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8}).Convert(tensor.BF16)
	zero := tensor.FromFloat32s([]int{2, 4}, []float32{0, 1, 2, 3, 0, 5, 6, 7})
	g := &ir.Graph{Name: "g"}
	x := g.NewInput("x0", ir.F32(ir.T, 2))
	y := g.New(ir.Linear, &ir.LinearAttrs{Act: ir.GELU}, "", x, g.NewWeight("up", data)).Result()
	y = g.New(ir.Linear, &ir.LinearAttrs{}, "", y, g.NewWeight("down", zero)).Result()
	y = g.New(ir.Linear, &ir.LinearAttrs{}, "", y, g.NewWeight("head", data)).Result()
	g.Outputs = []ir.Output{{Name: "y", Value: y}}
	pass.Run(g, transform.Passes(transform.Options{}), transform.Lowered, nil)
	for _, op := range g.Ops {
		got, ok := op.Results[0].Data()
		switch {
		case !ok:
		case op.Results[0].WeightName() == "head" && (got.DType != tensor.BF16 || &got.Data[0] != &data.Data[0]):
			t.Errorf("head became %v", got)
		case op.Results[0].WeightName() == "up" && (got.DType != tensor.BF16 || &got.Data[0] != &data.Data[4]):
			t.Errorf("up became %v, want a view of rows 1 to 3", got)
		case op.Results[0].WeightName() == "down" && (got.DType != tensor.F32 || got.Shape[1] != 3):
			t.Errorf("down became %v, want f32[2 3]", got)
		}
	}
}

// TestTapFollows: a tap shows the picked rows where no run needs the others.
func TestTapFollows(t *testing.T) {
	g := irtest.Load(t, `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="x0"} : f32[T,2]
%2 = weight {name="W"} : f32[2,2]
%3 = linear(%1, %2, _, _, _) : f32[T,2]
%4 = linear(%3, %2, _, _, _) : f32[T,2]
%5 = select_rows(%4, %0) {rows=last} : f32[B,2]
output "y" %5
ondemand "whole" %3
tap "both" %3
tap "input" %1
`)
	before := g.Clone()
	if n := transform.TrimLastLayer.Run(g); n != 2 {
		t.Errorf("%d operators moved, want 2", n)
	}
	equivalent(t, before, g, 1)
	for _, o := range g.Outputs {
		want := map[string]ir.Dim{"y": ir.B, "whole": ir.T, "both": ir.B, "input": ir.T}[o.Name]
		if got := o.Value.Type.Rows(); got != want {
			t.Errorf("%s has %v rows, want %v", o.Name, got, want)
		}
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
