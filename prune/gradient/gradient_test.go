package gradient_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/prune/gradient"
	"etc/prune/linalg"
)

// TestAgainstDifferences: over random models, each of their outputs and each
// product on the way, what goes back is what the output changes by when the
// product's result does, each of its elements by a number of its own.
func TestAgainstDifferences(t *testing.T) {
	kinds, compared := map[ir.Kind]bool{}, 0
	for seed := range uint64(80) {
		rng := rand.New(rand.NewPCG(seed, 7))
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0)))
		in := irtest.InputsOf(rng, g, 1, 5, 2)
		for _, o := range g.Outputs {
			if o.Name == "hit" { // steps
				continue
			}
			m, err := gradient.Load(g, o.Name)
			if err != nil {
				t.Fatal(err)
			}
			var of *interp.Array // the output changes by Σ of·change
			err = m.Run(in, func(out *interp.Array) *interp.Array {
				of = normal(rng, out.Shape)
				return clone(of)
			}, func(linear *ir.Op, by linalg.Matrix) error {
				step := normal(rng, []int{by.Rows, by.Cols})
				want := slope(t, g, in, o.Name, linear.Arg("w").WeightName(), linear.Label, step, of)
				got := dot(by.Data, step.F)
				if scale := math.Sqrt(dot(by.Data, by.Data) * dot(step.F, step.F)); math.Abs(got-want) > 1e-5*(1+scale) {
					t.Errorf("seed %d, output %q: %s changes it by %v, want %v", seed, o.Name, linear.Label, got, want)
				}
				compared++
				return nil
			})
			if err != nil {
				t.Fatalf("seed %d, output %q: %v", seed, o.Name, err)
			}
		}
		for _, op := range g.Ops {
			kinds[op.Kind] = true
		}
	}
	if compared < 1000 {
		t.Errorf("only %d products were compared", compared)
	}
	for _, k := range ir.Kinds() {
		if k.Is(ir.Model) && !kinds[k] && k != ir.Gather && k != ir.Scatter { // those come from passes
			t.Errorf("no model has %v", k)
		}
	}
}

// slope is the change of Σ of·output in a direction of a product's result, by
// central differences of interp with step added to it.
func slope(t *testing.T, g *ir.Graph, in interp.Inputs, output, weight, label string, step, of *interp.Array) float64 {
	g = g.Clone()
	g.Outputs = slices.DeleteFunc(g.Outputs, func(o ir.Output) bool { return o.Name != output })
	g.Outputs[0].When = ir.Always
	g.RemoveDead() // what is left has one product of each weight
	at := slices.IndexFunc(g.Ops, func(op *ir.Op) bool {
		return op.Kind == ir.Linear && op.Label == label && op.Arg("w").WeightName() == weight
	})
	y := g.Ops[at].Result()
	x := g.NewInput("xstep", y.Type)
	sum := g.New(ir.Add, nil, label, y, x)
	g.Ops = slices.Insert(g.Ops[:len(g.Ops)-2], at+1, x.Def, sum)
	g.ReplaceUses(y, sum.Result())
	sum.Args[0] = y
	p, err := interp.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Trace(withStep(in, step, 0), func(v *ir.Value, a *interp.Array) {
		if v == y {
			for i, x := range a.F { // at the corner of ReLU there is no slope
				if x == 0 {
					step.F[i] = 0
				}
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	const h = 1e-5
	value := func(part float64) float64 {
		out, err := p.Run(withStep(in, step, part), output)
		if err != nil {
			t.Fatal(err)
		}
		return dot(out[output].F, of.F)
	}
	return (value(h) - value(-h)) / (2 * h)
}

// withStep is in with a part of a step.
func withStep(in interp.Inputs, step *interp.Array, part float64) interp.Inputs {
	moved := clone(step)
	for i := range moved.F {
		moved.F[i] *= part
	}
	in.Extra = map[string]*interp.Array{"xstep": moved}
	return in
}

// TestFusedIsRefused: what a pass has rewritten has other derivatives.
func TestFusedIsRefused(t *testing.T) {
	for _, op := range []string{
		"linear(%0, %1, _, _, _) {scaled=1 scale=2} : f32[T,2]",
		"linear(%0, %1, _, %0, _) : f32[T,2]",
		"linear(%0, %1, _, _, %4) : f32[T,2]",
		"attention(%0, %0, %0, %3, _) {heads=1 d=2 dv=2 scale=1 exp2=true} : f32[T,2]",
		"attention(%2, %0, %0, %3, _) {heads=1 d=2 dv=2 scale=1 rows=first} : f32[B,2]",
		"gather(%0, %4) : f32[T,2]",
	} {
		g := irtest.Load(t, `graph "g"
%0 = input {name="x"} : f32[T,2]
%1 = weight {name="w"} : f32[2,2]
%2 = input {name="xq"} : f32[B,2]
%3 = input {name="offsets"} : i32[B+1]
%4 = weight {name="columns" values=[0 1]} : i32[2]
%5 = `+op+`
output "y" %5
`)
		m, err := gradient.Load(g, "y")
		if err != nil {
			t.Fatal(err)
		}
		in := irtest.InputsOf(rand.New(rand.NewPCG(1, 1)), g, 3)
		err = m.Run(in, clone, func(*ir.Op, linalg.Matrix) error { return nil })
		if f := new(fault.Error); !errors.As(err, &f) || f.Kind != fault.Internal {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func normal(rng *rand.Rand, shape []int) *interp.Array {
	a := &interp.Array{Shape: shape, F: make([]float64, 1)}
	for _, n := range shape {
		a.F = make([]float64, len(a.F)*n)
	}
	for i := range a.F {
		a.F[i] = rng.NormFloat64()
	}
	return a
}

func clone(a *interp.Array) *interp.Array {
	return &interp.Array{Shape: a.Shape, F: slices.Clone(a.F)}
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}
