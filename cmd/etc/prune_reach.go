package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/interp"
	"etc/prune"
	"etc/prune/gradient"
	"etc/prune/linalg"
)

const (
	// reachTokens is about how many tokens go back through the model at once: all
	// that it computes for them is kept, in float64.
	reachTokens = 128
	// widestReach bounds the outputs of a product whose derivatives are collected:
	// 4·n² bytes each in the cache, twice that in memory.
	widestReach = 2048
)

// ready makes a guard, and has statistics know what outputs of products reach by
// its rows.
func (r *pruning) ready() (*guard, error) {
	g, err := r.newGuard()
	if err != nil {
		return nil, err
	}
	return g, g.findReach()
}

// findReach has statistics know what outputs of products reach: the derivatives
// of what the guard compares, over its rows.
func (g *guard) findReach() (err error) {
	if !g.method.Reaches() {
		return nil
	}
	g.stats.Reach, err = g.knownStatistics(ask("reach", g.base, g.guarded), func() (*prune.Statistics, error) {
		reach := &prune.Statistics{}
		return reach, g.derivatives(func(linear *ir.Op, by linalg.Matrix) error {
			name := linear.Arg("w").WeightName()
			switch {
			case slices.ContainsFunc(by.Data, func(d float64) bool { return math.IsNaN(d) || math.IsInf(d, 0) }):
				return fault.Newf(fault.Corrupt, "prune: %s: a derivative by the outputs of %q is no number in calibration", linear.Label, name).
					WithHint("calibrate on other rows: with these, activations overflow")
			case by.Cols <= widestReach:
				reach.AddRows(name, by)
			}
			return nil
		})
	})
	return err
}

// derivatives shows for each product of the dense model those of what the guard
// compares by what the product puts out, [tokens or rows, n] for batch after batch.
// What is compared is smallest for the dense model itself: it changes by the
// square of a change, to which drawChange finds a factor for each row.
func (g *guard) derivatives(see func(linear *ir.Op, by linalg.Matrix) error) error {
	answer := g.dense.Outputs[slices.IndexFunc(g.dense.Outputs, func(o ir.Output) bool { return o.When == ir.Always })]
	m, err := gradient.Load(g.dense, answer.Name)
	if err != nil {
		return err
	}
	signs := rand.New(rand.NewPCG(1, 2)) // the same for the same rows
	seed := func(answers *interp.Array) *interp.Array {
		by := &interp.Array{Shape: answers.Shape, F: make([]float64, len(answers.F))}
		width := len(by.F) / by.Shape[0] // 1 of a loss by token
		for i := 0; i < len(by.F); i += width {
			drawChange(g.model.Task, answers.F[i:i+width], by.F[i:i+width], signs)
		}
		return by
	}
	bar, done := g.newProgress("finding what matters"), 0
	defer bar.clear()
	for ids, types := range g.sample.batches(reachTokens) {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		if err := m.Run(batchInputs(&g.model, ids, types), seed, see); err != nil {
			return err
		}
		done += len(ids)
		bar.set(done, len(g.sample.ids))
	}
	return nil
}

// drawChange draws the derivatives by a row of answers, such that for a small
// change d the mean of (by·d)² over the signs is what distanceOf makes of it, or
// twice that. Of a language model's loss it is the square of the loss's change.
//
//	classes     √p∘z − p·Σ√p∘z, z = ±1: the Fisher information diag(p) − p·pᵀ
//	embeddings  (z − u·(u·z))/‖e‖, u = e/‖e‖
//	scores      z
func drawChange(task plan.Task, answers, by []float64, signs *rand.Rand) {
	for i := range by {
		by[i] = float64(2*signs.IntN(2) - 1)
	}
	var along float64
	switch task {
	case plan.Classification:
		p := slices.Clone(answers)
		gradient.Softmax(p)
		for i := range p {
			by[i] *= math.Sqrt(p[i])
			along += by[i]
		}
		for i := range by {
			by[i] -= float64(p[i] * along)
		}
	case plan.Embedding:
		square := 0.0
		for i, v := range answers {
			square += float64(v * v)
			along += float64(v * by[i])
		}
		if square == 0 {
			return
		}
		for i, v := range answers {
			by[i] = (by[i] - float64(v*along)/square) / math.Sqrt(square)
		}
	}
}
