package main

import (
	"fmt"
	"strings"

	"etc/compiler/cost"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/prune/latency"
)

// predictLatency is the table of a model by the rates of one core at a CPU
// level, for targets without a measured one. It has the points that a
// measured one has, and does not depend on the machine. Targets and levels
// whose rates are not known are fault.Unsupported.
func predictLatency(d latency.Dimensions, target string, level kernel.Level, shapes []latency.Shape) (*latency.Table, error) {
	if !plan.IsCPU(target) {
		return nil, fault.Newf(fault.Unsupported, "there is no latency table for %s", target).WithHint("--latency-table FILE takes one")
	}
	p := predictor{d: d, rates: cost.RatesOf(level.String()), bits: integerBits(target)}
	if p.bits == 16 && p.rates.Int16 == 0 || p.bits == 8 && p.rates.Int8 == 0 {
		return nil, fault.Newf(fault.Unsupported, "there is no latency table for %s on %v, and no rate to predict one by", target, level).
			WithHint("--measure makes one on this machine, --latency-table FILE takes one")
	}
	t := emptyLatencyTable(d, shapes)
	t.Target, t.Level, t.Source = target, level.String(), "predicted by the cost model for one core"
	for _, s := range shapes {
		p.shape(t, s)
	}
	t.Smooth()
	t.Round()
	return t, nil
}

// integerBits is 8 or 16 for a target whose products are in integers, else 0.
func integerBits(target string) (bits int) {
	_, dtype, _ := strings.Cut(target, ":")
	fmt.Sscanf(dtype, "int%d", &bits)
	return bits
}

type predictor struct {
	d     latency.Dimensions
	rates cost.Rates
	bits  int
}

// shape adds the times of one shape to every point.
func (p *predictor) shape(t *latency.Table, s latency.Shape) {
	all := float64(s.Batch * s.Tokens)
	add := func(us *[]float64, v float64) { *us = append(*us, v) }
	for i := range t.Attention {
		a := &t.Attention[i]
		add(&a.Micros, p.attention(s, all, a.Heads, a.D, a.Dv, 1))
	}
	for i := range t.FFN {
		add(&t.FFN[i].Micros, p.ffn(all, t.FFN[i].Width, 1))
	}
	for i := range t.AttentionTiles {
		x := &t.AttentionTiles[i]
		add(&x.Micros, p.attention(s, all, p.d.Heads, p.d.D, p.d.Dv, x.Density))
	}
	for i := range t.FFNTiles {
		add(&t.FFNTiles[i].Micros, p.ffn(all, p.d.Inner, t.FFNTiles[i].Density))
	}
	add(&t.Rest, p.rest(all))
	read := all
	if p.d.Picks {
		read = float64(s.Batch)
	}
	add(&t.Last.Attention, p.attention(s, read, p.d.Heads, p.d.D, p.d.Dv, 1)/p.attention(s, all, p.d.Heads, p.d.D, p.d.Dv, 1))
	add(&t.Last.FFN, p.ffn(read, p.d.Inner, 1)/p.ffn(all, p.d.Inner, 1))
}

// attention is the time of a sublayer with so many tokens that have queries;
// all have keys and values.
func (p *predictor) attention(s latency.Shape, queries float64, heads, d, dv int, density float64) float64 {
	norm := p.rows(queries)
	if heads == 0 {
		return norm
	}
	tokens, h := float64(s.Batch*s.Tokens), float64(heads)
	pairs := queries * float64(s.Tokens) * h
	if p.d.Causal {
		pairs /= 2
	}
	core := cost.Work{Kind: ir.OTFAttention, MACs: pairs * float64(d+dv), Exps: pairs}
	return norm + p.micros(core) +
		p.product(queries, p.d.Hidden, h*float64(d), density, 0) +
		p.product(tokens, p.d.Hidden, h*float64(d+dv), density, 0) +
		p.product(queries, heads*dv, float64(p.d.Hidden), density, 0)
}

func (p *predictor) ffn(tokens float64, width int, density float64) float64 {
	norm := p.rows(tokens)
	if width == 0 {
		return norm
	}
	return norm + p.product(tokens, p.d.Hidden, float64(width), density, tokens*float64(width)) +
		p.product(tokens, width, float64(p.d.Hidden), density, 0)
}

// rest is embeddings, and for a language model its head.
func (p *predictor) rest(tokens float64) float64 {
	us := p.rows(tokens)
	if p.d.Vocab > 0 {
		pairs := tokens * float64(p.d.Vocab)
		us += p.micros(cost.Work{Kind: ir.LinearNLL, MACs: pairs * float64(p.d.Hidden), Exps: pairs})
	}
	return us
}

// rows is the time of a step that goes row by row.
func (p *predictor) rows(tokens float64) float64 {
	return p.micros(cost.Work{Kind: ir.SkipLayerNorm, Elements: tokens * float64(p.d.Hidden)})
}

// product is the time of tokens·[k → n] with that share of tiles kept: dense
// where that is faster, as the compiler chooses.
func (p *predictor) product(tokens float64, k int, n, density, activations float64) float64 {
	bytes := 4.0
	if p.bits > 0 {
		bytes = float64(p.bits) / 8
	}
	w := cost.Work{Kind: ir.Linear, Bits: p.bits, MACs: tokens * float64(k) * n, Bytes: float64(k) * n * bytes, Activations: activations}
	us := p.micros(w)
	if density < 1 {
		w.Kind, w.MACs, w.Bytes = ir.BlockSparseLinear, w.MACs*density, w.Bytes*density
		us = min(us, p.micros(w))
	}
	return us
}

func (p *predictor) micros(w cost.Work) float64 { return 1e6 * p.rates.Seconds(w, 1) }
