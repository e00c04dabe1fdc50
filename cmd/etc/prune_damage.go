package main

import (
	"context"
	"math"

	"etc/eval"
	"etc/formats/plan"
	"etc/ir"
)

// guardRows and guardTokens bound the calibration rows on which outputs are compared.
const (
	guardRows   = 192
	guardTokens = 4 << 10
)

// A guard compares the outputs of pruned models with the dense model's on some
// rows, without labels: the mean over rows of the Kullback-Leibler divergence
// of classes, of 1 − cosine of embeddings, of the squared difference of other
// scores; for a language model the rise of the loss per token.
type guard struct {
	*pruning
	sample *sample
	dense  [][]float32 // by output, of all rows
}

func (r *pruning) newGuard() (*guard, error) {
	s := r.sample.first(guardRows, guardTokens)
	g := &guard{pruning: r, sample: s}
	dense, err := g.outputs(r.ctx, r.dense)
	g.dense = dense
	return g, err
}

// outputs are those of a graph on all rows, one after another.
func (g *guard) outputs(ctx context.Context, graph *ir.Graph) ([][]float32, error) {
	x, err := g.open(graph, nil)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	var all [][]float32
	err = forwardSample(ctx, x, g.sample, func(_ int, outputs [][]float32) {
		if all == nil {
			all = make([][]float32, len(outputs))
		}
		for i, o := range outputs {
			all[i] = append(all[i], o...)
		}
	})
	return all, err
}

// damage is how far a graph's outputs are from the dense model's.
func (g *guard) damage(ctx context.Context, graph *ir.Graph) (float64, error) {
	pruned, err := g.outputs(ctx, graph)
	if err != nil {
		return 0, err
	}
	n := len(g.sample.ids)
	if g.model.Task == plan.CausalLM {
		return (lossOf(pruned[0]) - lossOf(g.dense[0])) / float64(g.sample.tokens), nil
	}
	far, width := distanceOf(g.model.Task), len(g.dense[0])/n
	total := 0.0
	for i := range n {
		total += far(g.dense[0][i*width:(i+1)*width], pruned[0][i*width:(i+1)*width])
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
