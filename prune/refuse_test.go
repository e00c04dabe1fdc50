package prune_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/tensor"
	"etc/prune"
)

// bertLike is an encoder without a head, with random weights of no zero.
func bertLike(hidden, heads, inner, layers int) *ir.Graph {
	rng := rand.New(rand.NewPCG(1, 2))
	g := &ir.Graph{Name: "bert"}
	ids, offsets := g.NewInput("ids", ir.I32(ir.T)), g.NewInput("offsets", ir.I32(ir.Ends))
	weight := func(name string, shape ...int) *ir.Value {
		n, _ := tensor.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.Float64() + 0.5)
		}
		return g.NewWeight(name, tensor.FromFloat32s(shape, x))
	}
	linear := func(label, name string, n int, x *ir.Value) *ir.Value {
		return g.New(ir.Linear, &ir.LinearAttrs{}, label, x, weight(name+".weight", n, x.Type.Width()), weight(name+".bias", n)).Result()
	}
	x := g.New(ir.Embed, &ir.EmbedAttrs{}, "embeddings", ids, nil, nil, weight("word", 8, hidden)).Result()
	for i := range layers {
		label := fmt.Sprintf("layer %d ", i)
		name := fmt.Sprintf("layer.%d.", i)
		a := g.New(ir.Attention, &ir.AttentionAttrs{Heads: heads, D: hidden / heads, Dv: hidden / heads, Scale: 1}, label+"attention",
			linear(label+"attention", name+"q", hidden, x), linear(label+"attention", name+"k", hidden, x),
			linear(label+"attention", name+"v", hidden, x), offsets).Result()
		x = g.New(ir.Add, nil, label+"attention", x, linear(label+"attention", name+"o", hidden, a)).Result()
		h := g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.GELU}, label+"ffn", linear(label+"ffn", name+"in", inner, x)).Result()
		x = g.New(ir.Add, nil, label+"ffn", x, linear(label+"ffn", name+"out", hidden, h)).Result()
	}
	g.Outputs = append(g.Outputs, ir.Output{Name: "hidden", Value: x})
	return g
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    fault.Kind
		text    string
		prepare func(g *ir.Graph, s *prune.Statistics)
	}{
		{"activation in a product", fault.Unsupported, "layer 0 ffn: operator linear is fused", func(g *ir.Graph, _ *prune.Statistics) {
			blocksOf(g)[1].in.Attrs.(*ir.LinearAttrs).Act = ir.GELU
		}},
		{"residual in a product", fault.Unsupported, "operator linear is fused", func(g *ir.Graph, _ *prune.Statistics) {
			out := blocksOf(g)[1].out
			out.SetArg("residual", blocksOf(g)[0].q.Arg("x"))
		}},
		{"kernel operator", fault.Unsupported, "layer 0 attention: operator skip_layernorm is fused", func(g *ir.Graph, _ *prune.Statistics) {
			x := g.Outputs[0].Value
			h := tensor.FromFloat32s([]int{32}, make([]float32, 32))
			g.New(ir.SkipLayerNorm, &ir.LayerNormAttrs{Eps: 1}, "layer 0 attention", x, x, g.NewWeight("gamma", h), g.NewWeight("beta", h))
		}},
		{"attention of no product", fault.Unsupported, "layer 0 attention: attention without products of its own", func(g *ir.Graph, _ *prune.Statistics) {
			b := blocksOf(g)[0]
			g.OnlyUser(b.k.Result()).Args[1] = b.k.Arg("x")
		}},
		{"query that is the key", fault.Unsupported, "stands in several products", func(g *ir.Graph, _ *prune.Statistics) {
			b := blocksOf(g)[0]
			g.OnlyUser(b.k.Result()).Args[1] = b.q.Result()
		}},
		{"query that leaves the graph", fault.Unsupported, "layer 0 attention: attention without products of its own", func(g *ir.Graph, _ *prune.Statistics) {
			g.Outputs = append(g.Outputs, ir.Output{Name: "q", Value: blocksOf(g)[0].q.Result()})
		}},
		{"weight of two products", fault.Unsupported, `weight "layer.0.q.weight" stands in several products`, func(g *ir.Graph, _ *prune.Statistics) {
			b := blocksOf(g)[0]
			b.k.SetArg("w", b.q.Arg("w"))
		}},
		{"weight of a product elsewhere", fault.Unsupported, `weight "layer.0.o.weight" stands in several products`, func(g *ir.Graph, _ *prune.Statistics) {
			again := g.New(ir.Linear, &ir.LinearAttrs{}, "head", g.Outputs[0].Value, blocksOf(g)[0].o.Arg("w"), nil)
			g.Outputs = append(g.Outputs, ir.Output{Name: "head", Value: again.Result()})
		}},
		{"no block", fault.Unsupported, "the model has no encoder block", func(g *ir.Graph, _ *prune.Statistics) {
			g.Ops, g.Outputs = g.Ops[:1], nil
		}},
		{"calibration that misses a product", fault.Unsupported, `layer 0 attention: no calibration row reached weight "layer.0.v.weight" [32 32]`, func(g *ir.Graph, s *prune.Statistics) {
			s.Add("layer.0.q.weight", make([]float32, 32))
			s.Add("layer.0.k.weight", make([]float32, 32))
			s.Add("layer.0.v.weight", make([]float32, 31))
		}},
		{"calibration that shares no name", fault.Unsupported, `no calibration row reached weight "layer.0.o.weight" [32 32]`, func(g *ir.Graph, s *prune.Statistics) {
			s.Add("layer 0 attention", make([]float32, 32))
		}},
		{"calibration that overflows", fault.Corrupt, `input 3 of "layer.0.q.weight" became NaN`, func(g *ir.Graph, s *prune.Statistics) {
			x := make([]float32, 32)
			x[3] = float32(math.NaN())
			s.Add("layer 0 attention", x)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, stats := bertLike(32, 2, 64, 1), &prune.Statistics{}
			c.prepare(g, stats)
			before := bytesOf(g)
			_, err := prune.Fixed(g, stats, method(t, "structured"), 0.2, nil)
			checkFault(t, err, c.kind, c.text)
			if string(bytesOf(g)) != string(before) {
				t.Error("the graph changed")
			}
		})
	}
}

func TestProductsOfOneInputShareItsName(t *testing.T) {
	g, stats := bertLike(32, 2, 64, 1), &prune.Statistics{}
	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i + 1)
	}
	minus := make([]float32, len(x)) // a mean of zero
	for i := range x {
		minus[i] = -x[i]
	}
	for _, row := range [][]float32{x, minus} {
		stats.Add("layer 0 attention", row)
		stats.Add("layer 0 attention", row[:7]) // something else of that block
		for _, name := range []string{"layer.0.o.weight", "layer.0.in.weight"} {
			stats.Add(name, row)
		}
	}
	stats.Add("layer.0.out.weight", make([]float32, 64))
	c, _ := fixed(t, g, stats, method(t, "columns"), 0.1)
	if stats.Tokens() != 2 {
		t.Errorf("%d tokens, want 2", stats.Tokens())
	}
	for _, op := range blocksOf(c)[0].all[:3] {
		if d := deadOf(op); !d.columns[0] || d.columns[31] {
			t.Errorf("%s: the first column must go before the last", op.Arg("w").WeightName())
		}
	}
}

// BenchmarkFixed prunes models of the shapes of minilm-sst2 and BERT_BASE.
func BenchmarkFixed(b *testing.B) {
	for _, s := range []struct {
		name                         string
		hidden, heads, inner, layers int
	}{{"minilm", 384, 12, 1536, 6}, {"bert-base", 768, 12, 3072, 12}} {
		for _, m := range prune.Methods() {
			b.Run(s.name+"/"+m.Name, func(b *testing.B) {
				g := bertLike(s.hidden, s.heads, s.inner, s.layers)
				for b.Loop() {
					if _, err := prune.Fixed(g.Clone(), nil, m, 0.25, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
