package main

import (
	"context"
	"math"
	"time"

	"etc/eval"
	"etc/formats/plan"
	"etc/ir"
)

// guardRows and guardTokens bound the calibration rows on which outputs are
// compared, searchRows and searchTokens the rows of --eval beside them.
const (
	guardRows    = 192
	guardTokens  = 4 << 10
	searchRows   = 384
	searchTokens = 8 << 10
)

// A guard compares the outputs of pruned models with the dense model's on some
// rows, without labels: the mean over rows of the Kullback-Leibler divergence
// of classes, of 1 − cosine of embeddings, of the squared difference of other
// scores; for a language model the rise of the loss per token.
type guard struct {
	*pruning
	sample *sample
	want   [][]float32 // of the dense model, by output, of all rows
	pace   float64     // seconds a token that they took
	walk   *walk       // through the dense model: pruned ones are often the same below a layer
	last   *ir.Graph   // that was asked for, which may have been changed since
	was    *ir.Graph   // a clone of it
	up     *walk       // through that one
}

// newGuard compares on calibration rows and, where there are, on rows that the
// search may see. On some hundred rows that a model was trained on it is sure of
// itself: allocations that lose least on these lost more on others than some
// that lost more. Where both are the same rows, as many of them.
func (r *pruning) newGuard() (*guard, error) {
	s := r.sample.first(guardRows, guardTokens)
	if r.seen != nil {
		reader, err := r.newRowReader()
		if err != nil {
			return nil, err
		}
		rows, tokens := searchRows, searchTokens
		if r.flags.calib == "" {
			s, rows, tokens = &sample{}, rows+guardRows, tokens+guardTokens
		}
		more, err := reader.draw(r.seen, r.flags.seed, rows, tokens)
		if err != nil {
			return nil, err
		}
		s.append(more)
	}
	r.guarded = s.digest()
	g := &guard{pruning: r, sample: s, walk: &walk{pruning: r, sample: s}}
	var err error
	began := time.Now()
	g.want, err = g.outputs(r.ctx, r.dense)
	g.pace = time.Since(began).Seconds() / float64(s.tokens)
	return g, err
}

// outputs are those of a graph on all rows, one after another. It is the dense
// model or a clone of it. Layers below the first that differs from the dense
// model are not run again, nor those below the first that has changed in the
// graph that was asked for before, as long as that is from the first layer up. A
// language model's loss wants the tokens, which only a whole model has.
func (g *guard) outputs(ctx context.Context, graph *ir.Graph) ([][]float32, error) {
	w, base, was := g.walk, g.dense, g.dense
	if graph == g.last {
		w, base, was = g.up, graph, g.was
	} else {
		g.last, g.up = graph, &walk{pruning: g.pruning, sample: g.sample}
	}
	layer := firstChanged(was, graph)
	g.was = graph.Clone()
	if layer < w.layer || g.model.Task == plan.CausalLM {
		w, layer = &walk{pruning: g.pruning, sample: g.sample}, 0
	}
	var all [][]float32
	for outputs, err := range w.outputs(ctx, base, graph, layer) {
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = make([][]float32, len(outputs))
		}
		for i, o := range outputs {
			all[i] = append(all[i], o...)
		}
	}
	return all, nil
}

// damage is how far a graph's outputs are from the dense model's.
func (g *guard) damage(ctx context.Context, graph *ir.Graph) (float64, error) {
	pruned, err := g.outputs(ctx, graph)
	if err != nil {
		return 0, err
	}
	n := len(g.sample.ids)
	if g.model.Task == plan.CausalLM {
		return (lossOf(pruned[0]) - lossOf(g.want[0])) / float64(g.sample.tokens), nil
	}
	far, width := distanceOf(g.model.Task), len(g.want[0])/n
	total := 0.0
	for i := range n {
		total += far(g.want[0][i*width:(i+1)*width], pruned[0][i*width:(i+1)*width])
	}
	return total / float64(n), nil
}

// lossOf is the loss over all rows.
func lossOf(nll []float32) float64 {
	total := 0.0
	for _, v := range nll {
		total += float64(v)
	}
	return total
}

// distanceOf compares the outputs of a row.
func distanceOf(task plan.Task) func(dense, pruned []float32) float64 {
	switch task {
	case plan.Classification:
		return divergence
	case plan.Embedding:
		return func(a, b []float32) float64 { return 1 - eval.Cosine(a, b) }
	}
	return func(a, b []float32) float64 {
		total := 0.0
		for i, v := range a {
			d := float64(v) - float64(b[i])
			total += d * d
		}
		return total
	}
}

// divergence is KL(softmax(p) ‖ softmax(q)).
func divergence(p, q []float32) float64 {
	a, b := logSoftmax(p), logSoftmax(q)
	total := 0.0
	for i, x := range a {
		total += math.Exp(x) * (x - b[i])
	}
	return total
}

func logSoftmax(x []float32) []float64 {
	most := math.Inf(-1)
	for _, v := range x {
		most = max(most, float64(v))
	}
	total := 0.0
	for _, v := range x {
		total += math.Exp(float64(v) - most)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - most - math.Log(total)
	}
	return out
}
