package prune_test

import (
	"fmt"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/tensor"
	"etc/prune"
)

// TestSublayers: those of the encoder, in order, and not the two products of a
// task head, nor a pair whose middle is read elsewhere.
func TestSublayers(t *testing.T) {
	g := bertLike(32, 2, 64, 2)
	x := g.Outputs[0].Value
	square := func(name string) *ir.Value {
		return g.NewWeight(name, tensor.FromFloat32s([]int{32, 32}, make([]float32, 32*32)))
	}
	first := g.New(ir.Linear, &ir.LinearAttrs{}, "head", x, square("dense"), nil).Result()
	act := g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.Tanh}, "head", first).Result()
	g.Outputs = append(g.Outputs, ir.Output{Name: "head", Value: g.New(ir.Linear, &ir.LinearAttrs{}, "head", act, square("out"), nil).Result()})

	names := func(p prune.Products) (list []string) {
		for _, op := range []*ir.Op{p.Q, p.K, p.V, p.O, p.In, p.Out} {
			if op != nil {
				list = append(list, op.Arg("w").WeightName())
			}
		}
		return list
	}
	all, err := prune.Sublayers(g)
	if err != nil {
		t.Fatal(err)
	}
	got, want := "", ""
	for _, p := range all {
		got += fmt.Sprintln(p.Around.Label, p.Around.Kind, names(p))
	}
	for i := range 2 {
		w := func(name string) string { return fmt.Sprintf("layer.%d.%s.weight", i, name) }
		want += fmt.Sprintln(fmt.Sprintf("layer %d attention", i), ir.Attention, []string{w("q"), w("k"), w("v"), w("o")})
		want += fmt.Sprintln(fmt.Sprintf("layer %d ffn", i), ir.Activation, []string{w("in"), w("out")})
	}
	if got != want {
		t.Errorf("found\n%swant\n%s", got, want)
	}

	g.Outputs = append(g.Outputs, ir.Output{Name: "before", Value: all[1].In.Result()})
	if fewer, err := prune.Sublayers(g); err != nil || len(fewer) != 3 {
		t.Errorf("%d sublayers where one's neurons leave the graph, error %v", len(fewer), err)
	}
	for _, p := range []*ir.Op{all[0].Q, all[0].K, all[0].V, all[0].O} {
		c := g.Clone()
		c.Outputs = append(c.Outputs, ir.Output{Name: "inner", Value: valueOf(g, c, p)})
		_, err := prune.Sublayers(c)
		if p == all[0].O { // others may read the sum
			if err != nil {
				t.Error(err)
			}
			continue
		}
		checkFault(t, err, fault.Unsupported, "layer 0 attention: attention without products of its own")
	}
}

// valueOf is the result in a clone of the operator that is p in g.
func valueOf(g, clone *ir.Graph, p *ir.Op) *ir.Value {
	for i, op := range g.Ops {
		if op == p {
			return clone.Ops[i].Result()
		}
	}
	return nil
}
