// Package irtest is the one set of helpers for tests of graphs and passes.
//
// Text or a seed enters; graphs with weights, ragged inputs and verdicts
// leave. Everything random comes from a seed or from a weight's name, so a
// failure repeats. Only tests import it.
package irtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/ir"
	"etc/ir/interp"
)

// meaning is how far two graphs of equal meaning may differ in float64,
// relative to the largest element: folding weights changes the order of sums
// of a few thousand terms, which costs some 1e-13.
const meaning = 1e-9

// Close fails t where got leaves want by more than tol times the larger of 1
// and the largest magnitude in want, or where shapes differ. NaN is close to
// nothing, an infinity only to itself.
func Close(t testing.TB, got, want *interp.Array, tol float64) {
	t.Helper()
	if d := Difference(got, want, tol); d != "" {
		t.Fatal(d)
	}
}

// Difference says where got is not close to want, "" where it is.
func Difference(got, want *interp.Array, tol float64) string {
	if !slices.Equal(got.Shape, want.Shape) || len(got.F) != len(want.F) {
		return fmt.Sprintf("shape %v of %d floats, want %v of %d", got.Shape, len(got.F), want.Shape, len(want.F))
	}
	if !slices.Equal(got.I, want.I) {
		return fmt.Sprintf("%v, want %v", got.I, want.I)
	}
	bound := 1.0
	for _, w := range want.F {
		if a := math.Abs(w); a > bound && !math.IsInf(a, 0) {
			bound = a
		}
	}
	for i, w := range want.F {
		if g := got.F[i]; g != w && !(math.Abs(g-w) <= tol*bound) {
			return fmt.Sprintf("element %d of %v: %v, want %v (off by %.3g, tolerance %.3g)", i, want.Shape, g, w, math.Abs(g-w), tol*bound)
		}
	}
	return ""
}

// Equivalent fails t unless both graphs give the same outputs on random
// inputs of before. A tap may be missing in after; no other output may, and
// none may come.
func Equivalent(t testing.TB, before, after *ir.Graph, seed uint64) {
	t.Helper()
	sameOutputs(t, before, after)
	const batches = 3
	for i := range uint64(batches) {
		in := RandomInputs(rand.New(rand.NewPCG(seed, i)), before)
		want, got := run(t, before, in), run(t, after, in)
		for name, g := range got {
			if d := Difference(g, want[name], meaning); d != "" {
				t.Fatalf("output %q: %s (seed %d, batch %d, offsets %v)\n--- before\n%s--- after\n%s",
					name, d, seed, i, in.Offsets, ir.Print(before), ir.Print(after))
			}
		}
	}
}

func sameOutputs(t testing.TB, before, after *ir.Graph) {
	t.Helper()
	had, has := map[string]ir.When{}, map[string]bool{}
	for _, o := range before.Outputs {
		had[o.Name] = o.When
	}
	for _, o := range after.Outputs {
		if when, ok := had[o.Name]; !ok || when != o.When {
			t.Fatalf("%v %q was %v before", o.When, o.Name, when)
		}
		has[o.Name] = true
	}
	for _, o := range before.Outputs {
		if !has[o.Name] && o.When != ir.Tap {
			t.Fatalf("%v %q is gone", o.When, o.Name)
		}
	}
}

func run(t testing.TB, g *ir.Graph, in interp.Inputs) map[string]*interp.Array {
	t.Helper()
	out, err := interp.Run(g, in)
	if err != nil {
		t.Fatalf("%v\n%s", err, ir.Print(g))
	}
	return out
}
