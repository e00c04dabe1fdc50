package frontend_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/ir"
	"etc/ir/tensor"
)

func writeBack(t *testing.T, g *ir.Graph, c *checkpoint.Checkpoint) map[string]tensor.Tensor {
	t.Helper()
	changed, err := frontend.WriteBack(g, c)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// eachCheckpoint runs a test on random checkpoints of every class.
func eachCheckpoint(t *testing.T, test func(t *testing.T, c *checkpoint.Checkpoint, im *frontend.Imported)) {
	for _, class := range frontendtest.Classes {
		for seed := range uint64(6) {
			rng := newRand(seed)
			c := open(t, frontendtest.Random(t, rng, class, frontendtest.RandomOptions(rng)))
			im, err := frontend.Import(c)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(class, func(t *testing.T) { test(t, c, im) })
		}
	}
}

func TestNothingChangedWritesNothing(t *testing.T) {
	eachCheckpoint(t, func(t *testing.T, c *checkpoint.Checkpoint, im *frontend.Imported) {
		if changed := writeBack(t, im.Graph, c); len(changed) != 0 {
			t.Errorf("%d tensors changed, want none", len(changed))
		}
	})
}

// mark is exact in every dtype and no element of a random checkpoint.
const mark = 96.0

// A changed element must arrive in the one tensor it came from, and an import
// of what was written must show it where it was changed, and nothing else.
func TestEveryWeightWritesBackToItsPlace(t *testing.T) {
	eachCheckpoint(t, everyWeightWritesBack)
}

func everyWeightWritesBack(t *testing.T, c *checkpoint.Checkpoint, im *frontend.Imported) {
	t.Helper()
	for i, op := range im.Graph.Ops {
		a, ok := op.Attrs.(*ir.WeightAttrs)
		if !ok || a.Tensor == "" {
			continue
		}
		before, v := a.Data, a.Data.Float64s()
		k := (7 * i) % len(v)
		v[k] = mark
		a.Data = tensor.FromFloat64s(before.Shape, v)
		changed := writeBack(t, im.Graph, c)
		if len(changed) != 1 || countMarks(changed[a.Tensor]) != 1 {
			t.Fatalf("%s[%d]: %v changed, want one element of %s", a.Name, k, slices.Collect(keys(changed)), a.Tensor)
		}
		again, err := frontend.Import(c.With(changed))
		if err != nil {
			t.Fatal(err)
		}
		a.Data = tensor.FromFloat64s(before.Shape, v).Convert(before.DType)
		sameWeights(t, again.Graph, im.Graph)
		a.Data = before
	}
}

func keys(m map[string]tensor.Tensor) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func countMarks(t tensor.Tensor) int {
	n := 0
	if t.Data != nil {
		for _, x := range t.Float64s() {
			if x == mark {
				n++
			}
		}
	}
	return n
}

func sameWeights(t *testing.T, got, want *ir.Graph) {
	t.Helper()
	for i, op := range want.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok {
			b := got.Ops[i].Attrs.(*ir.WeightAttrs)
			if a.Name != b.Name || a.Data.DType != b.Data.DType || !bytes.Equal(a.Data.Data, b.Data.Data) {
				t.Fatalf("weight %q differs after the way back", a.Name)
			}
		}
	}
}

// The places that fused and transposed weights have in GPT-2's files, spelled out.
func TestGPT2PartsLieWhereConv1DHasThem(t *testing.T) {
	o := frontendtest.Options{Layers: 1, Heads: 2, HeadSize: 3, DType: tensor.BF16} // H = 6
	c := open(t, frontendtest.Random(t, newRand(1), "GPT2LMHeadModel", o))
	im, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		weight   string
		element  int // of the graph's weight
		tensor   string
		position int // in the file's tensor
	}{
		{"transformer.h.0.attn.c_attn.weight[6:12]", 1*6 + 4, "transformer.h.0.attn.c_attn.weight", 4*18 + 6 + 1}, // key feature 1, input 4
		{"transformer.h.0.attn.c_attn.bias[12:18]", 2, "transformer.h.0.attn.c_attn.bias", 14},
		{"transformer.h.0.mlp.c_proj.weight", 5, "transformer.h.0.mlp.c_proj.weight", 5 * 6},
	} {
		i := slices.IndexFunc(im.Graph.Ops, func(op *ir.Op) bool { return op.Kind == ir.Weight && op.Result().WeightName() == p.weight })
		if i < 0 {
			t.Fatalf("no weight %q", p.weight)
		}
		a := im.Graph.Ops[i].Attrs.(*ir.WeightAttrs)
		before, v := a.Data, a.Data.Float64s()
		v[p.element] = mark
		a.Data = tensor.FromFloat64s(before.Shape, v)
		got := writeBack(t, im.Graph, c)[p.tensor]
		if got.Data == nil || got.Float64s()[p.position] != mark || got.DType != tensor.BF16 {
			t.Errorf("%s[%d] is not at %d of %s", p.weight, p.element, p.position, p.tensor)
		}
		a.Data = before
	}
}

func TestZerosAreWrittenPositive(t *testing.T) {
	o := frontendtest.Options{Layers: 1, DType: tensor.F16}
	c := open(t, frontendtest.Random(t, newRand(1), "BertModel", o))
	im, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	a := weightNamed(t, im.Graph, "query.weight")
	v := a.Data.Float64s()
	tiny := -1e-12 // rounds to −0 in f16
	v[0], v[1] = math.Copysign(0, -1), tiny
	a.Data = tensor.FromFloat64s(a.Data.Shape, v)
	got := writeBack(t, im.Graph, c)[a.Tensor]
	if !bytes.Equal(got.Data[:4], []byte{0, 0, 0, 0}) {
		t.Errorf("−0 and %g were written as % x, want zeros", tiny, got.Data[:4])
	}
}

func TestValuesThatDoNotFitAreRefused(t *testing.T) {
	o := frontendtest.Options{Layers: 1, DType: tensor.F16}
	c := open(t, frontendtest.Random(t, newRand(1), "BertModel", o))
	im, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	a := weightNamed(t, im.Graph, "query.weight")
	v := a.Data.Float64s()
	v[0] = 70000
	a.Data = tensor.FromFloat64s(a.Data.Shape, v)
	if _, err := frontend.WriteBack(im.Graph, c); fault.KindOf(err) != fault.Unsupported || !strings.Contains(err.Error(), "70000") {
		t.Errorf("error %v, want one about 70000", err)
	}
}

func weightNamed(t *testing.T, g *ir.Graph, suffix string) *ir.WeightAttrs {
	t.Helper()
	for _, op := range g.Ops {
		if op.Kind == ir.Weight && strings.HasSuffix(op.Result().WeightName(), suffix) {
			return op.Attrs.(*ir.WeightAttrs)
		}
	}
	t.Fatalf("no weight ends in %q", suffix)
	return nil
}

func TestPartsOfOneTensorAreWrittenTogether(t *testing.T) {
	for _, class := range []string{"GPT2LMHeadModel", "TransformerModel"} {
		c := open(t, frontendtest.Random(t, newRand(1), class, frontendtest.Options{Layers: 1}))
		im, err := frontend.Import(c)
		if err != nil {
			t.Fatal(err)
		}
		parts, fused := map[string]int{}, 0
		for _, op := range im.Graph.Ops {
			if a, ok := op.Attrs.(*ir.WeightAttrs); ok && a.Tensor != "" {
				v := a.Data.Float64s()
				v[0] = mark
				a.Data = tensor.FromFloat64s(a.Data.Shape, v)
				parts[a.Tensor]++
			}
		}
		changed := writeBack(t, im.Graph, c)
		for name, n := range parts {
			if got := countMarks(changed[name]); got != n {
				t.Errorf("%s: %d of %d parts were written", name, got, n)
			}
			if n == 3 {
				fused++
			}
		}
		if fused != 2 {
			t.Errorf("%s: %d tensors in three parts, want a weight and a bias", class, fused)
		}
	}
}
