package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"etc/formats/plan"
	"etc/ir"
	"etc/prune"
	"etc/prune/latency"
)

// speedPace is that of dense and pruned model in turns, at each shape.
var speedPace = pace{warmup: 50 * time.Millisecond, time: time.Second, runs: 200}

// leastSpeedup is the ratio of times that says something: two runs of one model
// beside each other have differed by 4 % on shared machines.
const leastSpeedup = 1.05

// measureSpeed times what was found in turns with the dense model, at the
// shapes of --speedup, and says the ratios, and where they are no gain. They
// depend on what else the machine does and decide nothing; where they should,
// by --measure, the search has measured too.
func (r *pruning) measureSpeed(found *prune.Found) error {
	if !plan.IsCPU(r.target) {
		return nil
	}
	ratios, err := r.ratios(r.ctx, found.Graph)
	if err != nil {
		return err
	}
	r.measured = ratios
	r.note("speed-up measured in turns with the dense model: %s", ratiosAt(r.shapes(), ratios))
	r.warnOfNoGain(found)
	return nil
}

// warnOfNoGain says when no shape is any faster for the zeros.
func (r *pruning) warnOfNoGain(found *prune.Found) {
	if slices.Max(r.measured) < leastSpeedup {
		r.warn("%.0f %% of zeros bring no time on %s: measured %s", 100*found.Recipe.Sparsity, r.target, ratiosAt(r.shapes(), r.measured))
	}
}

// shapes are those that speeds are told for.
func (r *pruning) shapes() []latency.Shape {
	if r.table != nil {
		return r.table.Shapes
	}
	return latencyShapes(&r.model)
}

// ratios are the dense model's times over a pruned graph's, by shape: of medians, the two in turns.
func (r *pruning) ratios(ctx context.Context, g *ir.Graph) ([]float64, error) {
	dense, err := r.open(r.dense, nil)
	if err != nil {
		return nil, err
	}
	defer dense.Close()
	pruned, err := r.open(g, nil)
	if err != nil {
		return nil, err
	}
	defer pruned.Close()
	bar := r.newProgress("measuring speed")
	defer bar.clear()
	var ratios []float64
	for i, s := range r.shapes() {
		bar.set(i, len(r.shapes()))
		c, err := measureCell(ctx, pruned, dense, shape{s.Batch, s.Tokens, slices.Repeat([]int{s.Tokens}, s.Batch)}, speedPace)
		if err != nil {
			return nil, err
		}
		ratios = append(ratios, c.Speedup)
	}
	return ratios, nil
}

// ratiosAt lists ratios with their shapes.
func ratiosAt(shapes []latency.Shape, ratios []float64) string {
	var list []string
	for i, s := range shapes {
		list = append(list, fmt.Sprintf("%d×%d: %.2f", s.Batch, s.Tokens, ratios[i]))
	}
	return strings.Join(list, ", ")
}
