package main

import (
	"cmp"
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

// findReach has statistics know what outputs of products reach: the derivatives
// of what the guard compares, over its rows. What is compared is smallest for the
// dense model, so that to second order it is the square of some change of the
// answers; an answer's rows are drawn so that their mean square is that.
func (g *guard) findReach() error {
	if !g.method.Reaches() {
		return nil
	}
	reach, err := g.knownStatistics(ask("reach", g.base, g.guarded), g.collectReach)
	g.stats.Reach = reach
	return err
}

func (g *guard) collectReach() (*prune.Statistics, error) {
	answer := g.dense.Outputs[slices.IndexFunc(g.dense.Outputs, func(o ir.Output) bool { return o.When == ir.Always })]
	m, err := gradient.Load(g.dense, answer.Name)
	if err != nil {
		return nil, err
	}
	reach, signs := &prune.Statistics{}, rand.New(rand.NewPCG(1, 2))
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
			return nil, err
		}
		var broken error
		err := m.Run(batchInputs(&g.model, ids, types), seed, func(linear *ir.Op, by *interp.Array) {
			name, x := linear.Arg("w").WeightName(), linalg.Matrix{Rows: by.Shape[0], Cols: by.Shape[1], Stride: by.Shape[1], Data: by.F}
			if x.Cols > widestReach {
				return
			}
			if slices.ContainsFunc(by.F, func(d float64) bool { return math.IsNaN(d) || math.IsInf(d, 0) }) {
				broken = fault.Newf(fault.Corrupt, "prune: %s: a derivative by the outputs of %q is no number in calibration", linear.Label, name).
					WithHint("calibrate on other rows: with these, activations overflow")
				return
			}
			reach.AddRows(name, x)
		})
		if err = cmp.Or(err, broken); err != nil {
			return nil, err
		}
		done += len(ids)
		bar.set(done, len(g.sample.ids))
	}
	return reach, nil
}

// drawChange draws the derivatives by a row of answers: E[by·byᵀ] over the signs
// is half the Hessian of what distanceOf compares, or of a language model's loss
// the square of its own derivative.
//
//	classes     √p∘z − p·(√p·z), z = ±1: the Fisher information diag(p) − p·pᵀ
//	embeddings  (z − u·(u·z))/‖e‖, u = e/‖e‖
//	scores      z
func drawChange(task plan.Task, answers, by []float64, signs *rand.Rand) {
	for i := range by {
		by[i] = float64(2*signs.IntN(2) - 1)
	}
	var along float64
	switch task {
	case plan.Classification:
		top, sum := math.Inf(-1), 0.0
		for _, v := range answers {
			top = max(top, v)
		}
		p := make([]float64, len(answers))
		for i, v := range answers {
			p[i] = math.Exp(v - top)
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
			by[i] *= math.Sqrt(p[i])
			along += float64(math.Sqrt(p[i]) * by[i])
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
