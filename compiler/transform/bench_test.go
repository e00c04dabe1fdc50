package transform_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"etc/compiler/transform"
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// BenchmarkBERTBase runs all passes on 12 layers of 768 with 3072 neurons, of
// which half are zero, as are a head and a quarter of the elements of W_Q.
func BenchmarkBERTBase(b *testing.B) {
	g := bert(12, 768, 12, 3072)
	elapsed := map[string]float64{}
	for b.Loop() {
		pass.Run(g.Clone(), transform.Passes(everything), transform.Lowered, func(r pass.Report, _ *ir.Graph) {
			elapsed[r.Pass.Name] += r.Elapsed.Seconds()
		})
	}
	for name, s := range elapsed {
		b.ReportMetric(s*1000/float64(b.N), name+"-ms/op")
	}
}

func bert(layers, h, heads, neurons int) *ir.Graph {
	rng := rand.New(rand.NewPCG(1, 1))
	g := &ir.Graph{Name: "bert"}
	weight := func(name string, zero func(i, j int) bool, shape ...int) *ir.Value {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			if k := shape[len(shape)-1]; !zero(i/k, i%k) {
				v[i] = rng.Float32() + 0.5
			}
		}
		return g.NewWeight(name, tensor.FromFloat32s(shape, v))
	}
	dense := func(i, j int) bool { return false }
	linear := func(x *ir.Value, name string, zero func(i, j int) bool, n, k int) *ir.Value {
		return g.New(ir.Linear, &ir.LinearAttrs{}, name, x, weight(name, zero, n, k), weight(name+" bias", dense, n)).Result()
	}
	norm := func(x, y *ir.Value) *ir.Value {
		sum := g.New(ir.Add, nil, "", x, y).Result()
		return g.New(ir.LayerNorm, &ir.LayerNormAttrs{Eps: 1e-12}, "", sum, weight("gamma", dense, h), weight("beta", dense, h)).Result()
	}
	offsets := g.NewInput("offsets", ir.I32(ir.Ends))
	x := g.NewInput("x0", ir.F32(ir.T, ir.Dim(h)))
	for l := range layers {
		label := fmt.Sprintf("layer %d", l)
		q := linear(x, label+" q", func(i, j int) bool { return (i+j)%4 == 0 }, h, h)
		k := linear(x, label+" k", dense, h, h)
		v := linear(x, label+" v", func(i, j int) bool { return i < h/heads }, h, h)
		z := g.New(ir.Attention, &ir.AttentionAttrs{Heads: heads, D: h / heads, Dv: h / heads, Scale: 0.125}, label, q, k, v, offsets).Result()
		x = norm(linear(z, label+" o", dense, h, h), x)
		up := linear(x, label+" up", func(i, j int) bool { return i%2 == 0 }, neurons, h)
		up = g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.GELU}, label, up).Result()
		x = norm(linear(up, label+" down", func(i, j int) bool { return j%2 == 0 }, h, neurons), x)
	}
	g.Outputs = []ir.Output{{Name: "y", Value: x}}
	return g
}
