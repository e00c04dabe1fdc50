package frontend_test

import (
	"math"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
)

func run(t testing.TB, g *ir.Graph, in interp.Inputs) map[string]*interp.Array {
	t.Helper()
	out, err := interp.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBothSetsOfNamesAreOneModel(t *testing.T) {
	for seed := range uint64(6) {
		o := frontendtest.RandomOptions(newRand(seed))
		o.ExampleNames = false
		tutorial := importDir(t, frontendtest.Random(t, newRand(seed), "TransformerModel", o)).Graph
		o.ExampleNames = true
		example := importDir(t, frontendtest.Random(t, newRand(seed), "TransformerModel", o)).Graph
		in := irtest.RandomInputs(newRand(seed), tutorial)
		want, got := run(t, tutorial, in), run(t, example, in)
		for name, w := range want {
			irtest.Close(t, got[name], w, 0)
		}
	}
}

func TestStoredPositionsWin(t *testing.T) {
	o := frontendtest.Options{Layers: 1}
	computed := importDir(t, frontendtest.Random(t, newRand(1), "TransformerModel", o)).Graph
	o.StoredPositions = true
	stored := importDir(t, frontendtest.Random(t, newRand(1), "TransformerModel", o)).Graph
	in := irtest.InputsOf(newRand(1), computed, 9)
	if d := irtest.Difference(run(t, stored, in)["logits"], run(t, computed, in)["logits"], 1e-3); d == "" {
		t.Error("pos_encoder.pe makes no difference")
	}
	if n := weightNamed(t, stored, "pos_encoder.pe"); n.Tensor == "" {
		t.Error("the stored positions do not say where they came from")
	}
}

func TestSinusoids(t *testing.T) {
	o := frontendtest.Options{Layers: 1, Heads: 3, HeadSize: 3} // H = 9
	g := importDir(t, frontendtest.Random(t, newRand(1), "TransformerModel", o)).Graph
	table := weightNamed(t, g, "positions").Data.Float64s()
	for p := range frontendtest.MaxLength {
		for i := range 9 {
			want := math.Sin(float64(p) / math.Pow(10000, float64(i)/9))
			if i%2 == 1 {
				want = math.Cos(float64(p) / math.Pow(10000, float64(i-1)/9))
			}
			// The angle is rounded to float32: half an ulp of 130 is 8e-6.
			if got := table[p*9+i]; math.Abs(got-want) > 2e-5 {
				t.Fatalf("position %d, feature %d: %v, want %v", p, i, got, want)
			}
		}
	}
}
