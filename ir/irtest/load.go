package irtest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/tensor"
)

// Load reads a graph, gives random values to float weights without any, and
// obeys the directives in its comment lines (see directive).
func Load(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g := parse(t, text)
	for _, op := range g.Ops {
		if op.Kind == ir.Weight {
			fill(t, op)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			if err := obey(g, strings.TrimSpace(comment)); err != nil {
				t.Fatalf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
	return g
}

func parse(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := ir.Parse(text)
	if err == nil {
		err = ir.Verify(g, ir.Model|ir.Kernel)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return g
}

// fill gives a weight values that follow from its name alone.
func fill(t testing.TB, op *ir.Op) {
	a, typ := op.Attrs.(*ir.WeightAttrs), op.Result().Type
	if a.Data.Data != nil {
		return
	}
	if typ.DType != tensor.F32 {
		t.Fatalf("weight %q: %v needs values", a.Name, typ)
	}
	hash := fnv.New64a()
	hash.Write([]byte(a.Name))
	rng := rand.New(rand.NewPCG(hash.Sum64(), 0))
	shape, n := []int{}, 1
	for _, d := range typ.Shape {
		shape, n = append(shape, int(d)), n*int(d)
	}
	a.Data = tensor.FromFloat64s(shape, normal(rng, n, deviation(shape))).Convert(tensor.F32)
}

// deviation keeps products of a random matrix of that shape near 1.
func deviation(shape []int) float64 {
	if len(shape) < 2 {
		return 1
	}
	return 1 / math.Sqrt(float64(max(shape[1], 1)))
}
