package interp_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
)

func randomProgram(t testing.TB, seed uint64) (*ir.Graph, *interp.Program) {
	g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0)))
	p, err := interp.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	return g, p
}

// TestRowsAreIndependent: a row gives the same bits alone as among others.
func TestRowsAreIndependent(t *testing.T) {
	for seed := range uint64(40) {
		g, p := randomProgram(t, seed)
		in := irtest.InputsOf(rand.New(rand.NewPCG(seed, 1)), g, 3, 1, 130, 8)
		all, err := p.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		for b := range len(in.Offsets) - 1 {
			from, to := in.Offsets[b], in.Offsets[b+1]
			alone, err := p.Run(interp.Inputs{Offsets: []int{0, to - from}, IDs: in.IDs[from:to], Types: in.Types[from:to], Positions: in.Positions[from:to]})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range g.Outputs {
				lo, hi := from, to
				if o.Value.Type.Rows() == ir.B {
					lo, hi = b, b+1
				}
				size := len(alone[o.Name].F) / (hi - lo)
				if !slices.Equal(alone[o.Name].F, all[o.Name].F[lo*size:hi*size]) {
					t.Fatalf("seed %d: row %d of output %q changes with its batch", seed, b, o.Name)
				}
			}
		}
	}
}

// TestNamedOutputs: what is asked for comes, by the same numbers, and nothing else.
func TestNamedOutputs(t *testing.T) {
	for seed := range uint64(20) {
		g, p := randomProgram(t, seed)
		in := irtest.RandomInputs(rand.New(rand.NewPCG(seed, 1)), g)
		all, err := p.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(g.Outputs) {
			t.Fatalf("%d outputs of %d", len(all), len(g.Outputs))
		}
		for _, o := range g.Outputs {
			got, err := p.Run(in, o.Name)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 {
				t.Fatalf("%d outputs, 1 is asked for", len(got))
			}
			irtest.Close(t, got[o.Name], all[o.Name], 0)
		}
		if _, err := p.Run(in, "nothing"); err == nil {
			t.Fatal("an output that is not there has no error")
		}
	}
}

// TestTraceShowsEveryValue: each value once, of its type's shape, before its users.
func TestTraceShowsEveryValue(t *testing.T) {
	g, p := randomProgram(t, 1)
	in := irtest.RandomInputs(rand.New(rand.NewPCG(1, 1)), g)
	sizes := map[ir.Dim]int{ir.T: len(in.IDs), ir.B: len(in.Offsets) - 1, ir.Ends: len(in.Offsets)}
	var order []*ir.Value
	_, err := p.Trace(in, func(v *ir.Value, a *interp.Array) {
		order = append(order, v)
		for i, d := range v.Type.Shape {
			want, ok := sizes[d]
			if !ok {
				want = int(d)
			}
			if a.Shape[i] != want {
				t.Errorf("%v is %v", v.Type, a.Shape)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []*ir.Value
	for _, op := range g.Ops {
		want = append(want, op.Results...)
	}
	if !slices.Equal(order, want) {
		t.Errorf("%d values were shown, want %d in order", len(order), len(want))
	}
}

const small = `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="ids"} : i32[T]
%2 = input {name="positions"} : i32[T]
%3 = input {name="x"} : f32[B,1]
%4 = weight {name="word"} : f32[3,2]
%5 = weight {name="position"} : f32[9,2]
%6 = weight {name="bias"} : f32[1,3]
%7 = embed(%1, %2, _, %4, %5, _) : f32[T,2]
%8 = attention(%7, %7, %7, %0, %6) {heads=1 d=2 dv=2 scale=1} : f32[T,2]
%9, %10 = linear_nll(%8, %4, _, %1, %0) : f32[T], f32[T]
output "nll" %9
output "x" %3
`

func TestBadBatchesAreErrors(t *testing.T) {
	g := irtest.Load(t, small)
	for _, c := range []struct {
		change func(in *interp.Inputs)
		want   string
	}{
		{func(in *interp.Inputs) { in.IDs[1] = 3 }, "word 3: the table has 3 rows"},
		{func(in *interp.Inputs) { in.IDs[0] = -1 }, "word -1: the table has 3 rows"},
		{func(in *interp.Inputs) { in.Positions[0] = 9 }, "position 9: the table has 9 rows"},
		{func(in *interp.Inputs) { in.Offsets = nil }, "offsets []: want numbers that begin with 0"},
		{func(in *interp.Inputs) { in.Offsets = []int{1, 3} }, "offsets [1 3]: want numbers that begin with 0"},
		{func(in *interp.Inputs) { in.Offsets = []int{0, 0, 3} }, "row 0 has no tokens"},
		{func(in *interp.Inputs) { in.Offsets = []int{0, 3, 2} }, "row 1 has no tokens"},
		{func(in *interp.Inputs) {
			in.Offsets, in.Extra["x"] = []int{0, 3}, &interp.Array{Shape: []int{1, 1}, F: []float64{1}}
		}, "a key 2 tokens from its query: the table ends at 1"},
		{func(in *interp.Inputs) { in.IDs = in.IDs[:2] }, `input "ids" has 2 numbers, want 3`},
		{func(in *interp.Inputs) { in.Extra = nil }, `input "x" is not given`},
		{func(in *interp.Inputs) { in.Extra["x"].Shape[0] = 1 }, `input "x" is [1 1] of 2 elements, want [2 1]`},
	} {
		in := interp.Inputs{Offsets: []int{0, 1, 3}, IDs: []int{0, 1, 2}, Positions: []int{0, 0, 1},
			Extra: map[string]*interp.Array{"x": {Shape: []int{2, 1}, F: []float64{1, 2}}}}
		if _, err := interp.Run(g, in); err != nil {
			t.Fatal(err)
		}
		c.change(&in)
		_, err := interp.Run(g, in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		} else if fault.KindOf(err) != fault.Corrupt && !strings.Contains(c.want, `"x"`) {
			t.Errorf("%v has kind %d, want corrupt", err, fault.KindOf(err))
		}
	}
}

// TestIDsOfTheLossAreChecked: linear_nll may stand without an embedding.
func TestIDsOfTheLossAreChecked(t *testing.T) {
	g := irtest.Load(t, `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="ids"} : i32[T]
%2 = input {name="x"} : f32[T,1]
%3 = weight {name="W"} : f32[3,1]
%4, %5 = linear_nll(%2, %3, _, %1, %0) : f32[T], f32[T]
output "nll" %4
`)
	for _, id := range []int{-1, 3} {
		in := interp.Inputs{Offsets: []int{0, 1}, IDs: []int{id}, Extra: map[string]*interp.Array{"x": {Shape: []int{1, 1}, F: []float64{1}}}}
		if _, err := interp.Run(g, in); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("id %d: %v", id, err)
		}
	}
}

func TestWeightsWithoutValuesAreErrors(t *testing.T) {
	g, err := ir.Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := interp.Load(g); err == nil || err.Error() != `weight "word" has no values` {
		t.Errorf("got %v", err)
	}
}
