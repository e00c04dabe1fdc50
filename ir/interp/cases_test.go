package interp_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// rounding is the tolerance of numbers worked out by hand.
const rounding = 1e-14

// TestCasesByHand evaluates testdata/KIND.ir, in which comment lines give the
// batch ("# NAME numbers") and the outputs ("# want NAME numbers").
func TestCasesByHand(t *testing.T) {
	for _, kind := range ir.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", kind.String()+".ir"))
			if err != nil {
				t.Fatalf("no case defines %v: %v", kind, err)
			}
			g := irtest.Load(t, string(text))
			if !slices.ContainsFunc(g.Ops, func(op *ir.Op) bool { return op.Kind == kind }) {
				t.Fatalf("the case does not use %v", kind)
			}
			in, want := batch(t, g, string(text))
			got, err := interp.Run(g, in)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Errorf("%d outputs, %d are given", len(got), len(want))
			}
			for name, numbers := range want {
				a := got[name]
				if a == nil {
					t.Fatalf("no output %q", name)
				}
				if d := irtest.Difference(a, &interp.Array{Shape: a.Shape, F: numbers}, rounding); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		})
	}
}

// batch reads the inputs and outputs that a case's comments give.
func batch(t *testing.T, g *ir.Graph, text string) (interp.Inputs, map[string][]float64) {
	in, want := interp.Inputs{Extra: map[string]*interp.Array{}}, map[string][]float64{}
	lists := map[string]*[]int{"offsets": &in.Offsets, "ids": &in.IDs, "types": &in.Types, "positions": &in.Positions}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "#" {
			continue
		}
		if words[1] == "want" {
			want[words[2]] = numbers(t, words[3:])
		} else if list := lists[words[1]]; list != nil {
			for _, x := range numbers(t, words[2:]) {
				*list = append(*list, int(x))
			}
		} else if v := g.InputNamed(words[1]); v != nil {
			f := numbers(t, words[2:])
			width := v.Type.Width()
			in.Extra[words[1]] = &interp.Array{Shape: []int{len(f) / width, width}, F: f}
		}
	}
	return in, want
}

func numbers(t *testing.T, words []string) []float64 {
	v := make([]float64, len(words))
	for i, w := range words {
		x, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		v[i] = x
	}
	return v
}

// TestWeightsInAnyDType: what is stored in 16 bits means the same.
func TestWeightsInAnyDType(t *testing.T) {
	for _, dtype := range []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16} {
		g := &ir.Graph{Name: "g"}
		x := g.NewInput("x", ir.F32(ir.B, 1))
		w := g.NewWeight("w", tensor.FromFloat64s([]int{2, 1}, []float64{1.5, -3}).Convert(dtype))
		g.Outputs = []ir.Output{{Name: "y", Value: g.New(ir.Linear, &ir.LinearAttrs{}, "", x, w).Result()}}
		out, err := interp.Run(g, interp.Inputs{Offsets: []int{0, 1}, Extra: map[string]*interp.Array{"x": {Shape: []int{1, 1}, F: []float64{2}}}})
		if err != nil {
			t.Fatal(err)
		}
		irtest.Close(t, out["y"], &interp.Array{Shape: []int{1, 2}, F: []float64{3, -6}}, 0)
	}
}
