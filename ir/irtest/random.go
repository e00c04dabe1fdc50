package irtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"etc/ir"
	"etc/ir/tensor"
)

// RandomGraph is a small encoder or causal language model of model operators
// with the sizes that code gets wrong: odd widths, 1 to 7 heads whose widths
// need not make up the hidden size, vocabularies of no round number. Norms
// stand after or before the blocks, biases come and go, and weights hold
// zeros as pruning leaves them: heads, neurons, rows, columns, 16×16 tiles, 2:4.
func RandomGraph(rng *rand.Rand) *ir.Graph {
	b := &builder{
		Rand: rng, g: &ir.Graph{Name: "random"},
		hidden: 1 + rng.IntN(40), heads: 1 + rng.IntN(7),
		causal: rng.IntN(3) == 0, preNorm: rng.IntN(3) == 0, biases: rng.IntN(4) > 0,
		act: ir.ActKind(1 + rng.IntN(4)),
	}
	b.offsets = b.g.NewInput("offsets", ir.I32(ir.Ends))
	b.ids = b.g.NewInput("ids", ir.I32(ir.T))
	x := b.embed()
	if b.maybe(5) {
		b.bias = b.values("relative", b.heads, 2*longest-1)
	}
	for i := range 1 + rng.IntN(3) {
		b.block, b.layer = fmt.Sprintf("layer %d", i), i
		x = b.encoderLayer(x)
		if b.maybe(3) {
			b.output(fmt.Sprintf("layer.%d", i), x, ir.Tap)
		}
	}
	b.block, b.layer = "head", -1
	if b.preNorm {
		x = b.norm("final", x)
	}
	b.head(x)
	return b.g
}

// A builder holds what is the same in all layers of one model.
type builder struct {
	*rand.Rand
	g                       *ir.Graph
	hidden, heads           int
	causal, preNorm, biases bool
	act                     ir.ActKind
	ids, offsets, word      *ir.Value
	bias                    *ir.Value // or nil
	block                   string    // label of what is being built
	layer                   int
}

// maybe is true once in n times.
func (b *builder) maybe(n int) bool { return b.IntN(n) == 0 }

func (b *builder) output(name string, v *ir.Value, when ir.When) {
	b.g.Outputs = append(b.g.Outputs, ir.Output{Name: name, Value: v, When: when})
}

func (b *builder) name(what string) string {
	if b.layer < 0 {
		return what
	}
	return fmt.Sprintf("layer.%d.%s", b.layer, what)
}

// values is a matrix, or with one size a vector, without zeros.
func (b *builder) values(what string, shape ...int) *ir.Value {
	return b.weight(what, shape, b.numbers(shape))
}

func (b *builder) numbers(shape []int) []float64 {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return normal(b.Rand, n, deviation(shape))
}

// weight stores numbers as a checkpoint may: f32, f16 or bf16.
func (b *builder) weight(what string, shape []int, v []float64) *ir.Value {
	dtype := []tensor.DType{tensor.F32, tensor.F32, tensor.F16, tensor.BF16}[b.IntN(4)]
	return b.g.NewWeight(b.name(what), tensor.FromFloat64s(shape, v).Convert(dtype))
}

func (b *builder) embed() *ir.Value {
	b.block, b.layer = "embeddings", -1
	args := make([]*ir.Value, 6) // ids positions types word position type
	args[0] = b.ids
	b.word = b.values("word", 5+b.IntN(60), b.hidden)
	args[3] = b.word
	if !b.maybe(4) {
		args[1], args[4] = b.g.NewInput("positions", ir.I32(ir.T)), b.values("position", longest+b.IntN(4), b.hidden)
	}
	if b.maybe(2) {
		args[2], args[5] = b.g.NewInput("types", ir.I32(ir.T)), b.values("type", 1+b.IntN(2), b.hidden)
	}
	attrs := &ir.EmbedAttrs{}
	if b.maybe(4) {
		attrs.Scale = math.Sqrt(float64(b.hidden))
	}
	x := b.g.New(ir.Embed, attrs, b.block, args...).Result()
	if b.preNorm {
		return x
	}
	return b.norm("embeddings", x)
}

func (b *builder) norm(what string, x *ir.Value) *ir.Value {
	h := x.Type.Width()
	eps := []float64{1e-12, 1e-5}[b.IntN(2)]
	return b.g.New(ir.LayerNorm, &ir.LayerNormAttrs{Eps: eps}, b.block, x,
		b.values(what+".gamma", h), b.values(what+".beta", h)).Result()
}

// linear is x·Wᵀ + b; the bias is absent where it is nil.
func (b *builder) linear(act ir.ActKind, what string, x *ir.Value, n int, w, bias []float64) *ir.Value {
	args := []*ir.Value{x, b.weight(what+".weight", []int{n, x.Type.Width()}, w)}
	if bias != nil {
		args = append(args, b.weight(what+".bias", []int{n}, bias))
	}
	return b.g.New(ir.Linear, &ir.LinearAttrs{Act: act}, b.block, args...).Result()
}

// encoderLayer is attention and a feed-forward network, each with its skip.
func (b *builder) encoderLayer(x *ir.Value) *ir.Value {
	name := b.block
	for _, part := range []struct {
		name string
		of   func(x *ir.Value) *ir.Value
	}{{"attention", b.attention}, {"ffn", b.ffn}} {
		b.block = name + " " + part.name
		if b.preNorm {
			x = b.g.New(ir.Add, nil, b.block, x, part.of(b.norm(part.name, x))).Result()
		} else {
			x = b.norm(part.name, b.g.New(ir.Add, nil, b.block, part.of(x), x).Result())
		}
	}
	return x
}

func (b *builder) attention(x *ir.Value) *ir.Value {
	d := 1 + b.IntN(9)
	dv := d
	if b.maybe(3) {
		dv = 1 + b.IntN(9)
	}
	w := b.attentionWeights(d, dv)
	q := b.linear(ir.NoAct, "q", x, b.heads*d, w.q.v, w.bq.v)
	k := b.linear(ir.NoAct, "k", x, b.heads*d, w.k.v, w.bk.v)
	v := b.linear(ir.NoAct, "v", x, b.heads*dv, w.v.v, w.bv.v)
	a := b.g.New(ir.Attention, &ir.AttentionAttrs{Heads: b.heads, D: d, Dv: dv,
		Scale: 1 / math.Sqrt(float64(d)), Causal: b.causal}, b.block, q, k, v, b.offsets, b.bias)
	return b.linear(ir.NoAct, "o", a.Result(), b.hidden, w.o.v, w.bo.v)
}

func (b *builder) ffn(x *ir.Value) *ir.Value {
	n := 1 + b.IntN(70)
	w := b.ffnWeights(n)
	if b.maybe(2) {
		x = b.linear(b.act, "up", x, n, w.up.v, w.bUp.v)
	} else {
		x = b.linear(ir.NoAct, "up", x, n, w.up.v, w.bUp.v)
		x = b.g.New(ir.Activation, &ir.ActivationAttrs{Act: b.act}, b.block, x).Result()
	}
	return b.linear(ir.NoAct, "down", x, b.hidden, w.down.v, w.bDown.v)
}

// head is a classifier, an embedding or a language model's loss.
func (b *builder) head(x *ir.Value) {
	if b.maybe(2) {
		b.output("last_hidden_state", x, ir.OnDemand)
	}
	switch b.IntN(3) {
	case 0:
		rows := ir.FirstRows
		if b.maybe(3) {
			rows = ir.LastRows
		}
		x = b.g.New(ir.SelectRows, &ir.SelectRowsAttrs{Rows: rows}, b.block, x, b.offsets).Result()
		if b.maybe(2) {
			n := 1 + b.IntN(20)
			x = b.linear(ir.Tanh, "pooler", x, n, b.damaged(n, x.Type.Width()).v, b.someBias(n).v)
		}
		n := 1 + b.IntN(5)
		b.output("logits", b.linear(ir.NoAct, "classifier", x, n, b.numbers([]int{n, x.Type.Width()}), b.someBias(n).v), ir.Always)
	case 1:
		x = b.g.New(ir.Pool, &ir.PoolAttrs{}, b.block, x, b.offsets).Result()
		if b.maybe(2) {
			x = b.g.New(ir.Normalize, nil, b.block, x).Result()
		}
		b.output("embedding", x, ir.Always)
	default:
		b.languageHead(x)
	}
}

func (b *builder) languageHead(x *ir.Value) {
	w, bias := b.word, (*ir.Value)(nil)
	vocabulary := int(w.Type.Rows())
	if b.maybe(2) {
		w = b.values("lm_head.weight", vocabulary, b.hidden)
		bias = b.values("lm_head.bias", vocabulary)
	}
	nll := b.g.New(ir.LinearNLL, nil, b.block, x, w, bias, b.ids, b.offsets)
	b.output("nll", nll.Results[0], ir.Always)
	b.output("hit", nll.Results[1], ir.Always)
	b.output("logits", b.g.New(ir.Linear, &ir.LinearAttrs{}, b.block, x, w, bias).Result(), ir.OnDemand)
	last := b.g.New(ir.SelectRows, &ir.SelectRowsAttrs{Rows: ir.LastRows}, b.block, x, b.offsets).Result()
	b.output("last_logits", b.g.New(ir.Linear, &ir.LinearAttrs{}, b.block, last, w, bias).Result(), ir.OnDemand)
}
