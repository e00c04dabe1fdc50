package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"etc/formats/plan"
	"etc/ir"
	"etc/prune"
	"etc/prune/latency"
)

// speedSeconds is how long dense and pruned model take turns at each shape.
const speedSeconds = 1

// measureSpeed times what was found in turns with the dense model, at the
// shapes of the latency table, and says the ratios beside the table's. They
// depend on what else the machine does and decide nothing; where they should,
// by --measure, the search has measured too.
func (r *pruning) measureSpeed(found *prune.Found) error {
	if r.table == nil || !plan.IsCPU(r.target) {
		return nil
	}
	ratios, err := r.ratios(r.ctx, found.Graph)
	if err != nil {
		return err
	}
	r.measured = ratios
	r.note("speed-up measured in turns with the dense model: %s", ratiosAt(r.table.Shapes, ratios))
	return nil
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
	for i, s := range r.table.Shapes {
		bar.set(i, len(r.table.Shapes))
		c, err := measureCell(ctx, pruned, dense, shape{s.Batch, s.Tokens, slices.Repeat([]int{s.Tokens}, s.Batch)}, speedSeconds)
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
