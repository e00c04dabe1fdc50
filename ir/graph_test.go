package ir_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// chain is x -> relu -> gelu -> y beside a dead tanh of x.
func chain() (g *ir.Graph, x *ir.Value, relu, gelu, dead *ir.Op) {
	g = &ir.Graph{Name: "chain"}
	x = g.NewInput("x", ir.F32(ir.T, 3))
	relu = g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.ReLU}, "a", x)
	gelu = g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.GELU}, "b", relu.Result())
	dead = g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.Tanh}, "c", x)
	g.Outputs = []ir.Output{{Name: "y", Value: gelu.Result()}}
	return g, x, relu, gelu, dead
}

func TestReplaceUses(t *testing.T) {
	g, x, relu, gelu, dead := chain()
	g.Outputs = append(g.Outputs, ir.Output{Name: "t", Value: relu.Result(), When: ir.Tap})
	g.ReplaceUses(relu.Result(), x)
	if gelu.Arg("x") != x || g.Outputs[1].Value != x || relu.Arg("x") != x || g.Outputs[0].Value != gelu.Result() || !slices.Contains(g.Ops, relu) {
		t.Error(ir.Print(g))
	}
	if users := g.Users(x); !slices.Equal(users, []*ir.Op{relu, gelu, dead}) {
		t.Errorf("%d users of x", len(users))
	}
}

func TestOnlyUser(t *testing.T) {
	g, x, relu, gelu, _ := chain()
	if g.OnlyUser(relu.Result()) != gelu || g.OnlyUser(x) != nil || g.OnlyUser(gelu.Result()) != nil {
		t.Error("relu has one user, x has two, gelu none")
	}
	for _, when := range []ir.When{ir.Always, ir.OnDemand, ir.Tap} {
		g.Outputs = []ir.Output{{Name: "r", Value: relu.Result(), When: when}}
		if g.OnlyUser(relu.Result()) != nil {
			t.Errorf("%v: relu leaves the graph", when)
		}
		if g.IsOutput(relu.Result()) != (when != ir.Tap) {
			t.Errorf("%v: IsOutput", when)
		}
	}
}

func TestRemoveDead(t *testing.T) {
	g, x, relu, gelu, dead := chain()
	g.Outputs = append(g.Outputs,
		ir.Output{Name: "kept", Value: relu.Result(), When: ir.Tap},
		ir.Output{Name: "gone", Value: dead.Result(), When: ir.Tap})
	if n := g.RemoveDead(); n != 1 || !slices.Equal(g.Ops, []*ir.Op{x.Def, relu, gelu}) {
		t.Errorf("removed %d\n%s", n, ir.Print(g))
	}
	if len(g.Outputs) != 2 || g.Outputs[1].Name != "kept" {
		t.Errorf("outputs %v", g.Outputs)
	}
	g, _, _, _, dead = chain()
	g.Outputs = append(g.Outputs, ir.Output{Name: "d", Value: dead.Result(), When: ir.OnDemand})
	if n := g.RemoveDead(); n != 0 {
		t.Errorf("removed %d of a graph that is all used", n)
	}
}

func TestNewBefore(t *testing.T) {
	g, x, relu, gelu, _ := chain()
	w := g.NewWeightBefore(relu, "w", tensor.FromInt32s([]int{2}, []int32{0, 2}))
	mid := g.NewBefore(gelu, ir.Gather, nil, "", x, w)
	if slices.Index(g.Ops, w.Def) != 1 || slices.Index(g.Ops, mid) != slices.Index(g.Ops, gelu)-1 {
		t.Error(ir.Print(g))
	}
	if !mid.Result().Type.Equal(ir.F32(ir.T, 2)) || w.WeightName() != "w" || x.WeightName() != "" {
		t.Errorf("%v %q", mid.Result().Type, w.WeightName())
	}
	if err := ir.Verify(g, ir.Model); err != nil {
		t.Error(err)
	}
}

func TestNewPanicsWhereVerifyComplains(t *testing.T) {
	for name, f := range map[string]func(g *ir.Graph, x *ir.Value){
		"add: y is f32[B,3]":            func(g *ir.Graph, x *ir.Value) { g.New(ir.Add, nil, "", x, g.NewInput("xb", ir.F32(ir.B, 3))) },
		"add: operand y is absent":      func(g *ir.Graph, x *ir.Value) { g.New(ir.Add, nil, "", x) },
		"scatter: attributes are <nil>": func(g *ir.Graph, x *ir.Value) { g.New(ir.Scatter, nil, "", x, x) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "bug: ir: "+name) {
					t.Errorf("panics with %q, want bug: ir: %s", s, name)
				}
			}()
			g := &ir.Graph{}
			f(g, g.NewInput("x", ir.F32(ir.T, 3)))
		}()
	}
}

func TestOperandsByName(t *testing.T) {
	for _, k := range ir.Kinds() {
		if back, ok := ir.ParseKind(k.String()); !ok || back != k {
			t.Errorf("kind %v reads back as %v", k, back)
		}
	}
	if _, ok := ir.ParseKind(""); ok {
		t.Error("the empty name is a kind")
	}
	g, x, _, gelu, _ := chain()
	gelu.SetArg("x", x)
	if gelu.Arg("x") != x || g.InputNamed("x") != x || g.InputNamed("ids") != nil {
		t.Error("operand or input by name")
	}
}

// TestCloneIsApart: a clone prints the same, verifies, and does not follow
// changes of operators, operands, attributes, types or outputs.
func TestCloneIsApart(t *testing.T) {
	for seed := range uint64(30) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0)))
		c, text := g.Clone(), ir.Print(g)
		if ir.Print(c) != text {
			t.Fatalf("seed %d: the clone differs", seed)
		}
		if err := ir.Verify(c, ir.Model); err != nil {
			t.Fatal(err)
		}
		for i, op := range c.Ops {
			for r, v := range op.Results {
				if v.Def != op || v.ID != g.Ops[i].Results[r].ID {
					t.Fatalf("result %d of operator %d", r, i)
				}
				v.Type.Shape[0] = 9
			}
			op.Label = "changed"
			if a, ok := op.Attrs.(*ir.WeightAttrs); ok {
				a.Name = "changed"
			}
			for j := range op.Args {
				op.Args[j] = nil
			}
		}
		c.Outputs[0].Name = "changed"
		if ir.Print(g) != text {
			t.Fatalf("seed %d: the graph followed its clone", seed)
		}
		if a, b := g.NewInput("xnew", ir.F32(ir.T, 1)), c.NewInput("xnew", ir.F32(ir.T, 1)); a.ID != b.ID {
			t.Errorf("next value is %d, the clone's %d", a.ID, b.ID)
		}
	}
}
