package main

import (
	"slices"
	"strings"

	"etc/compiler/cost"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir"
)

// gpuModel is the model that chose for a target of a GPU, with what was
// measured; false for other targets.
func gpuModel(target string, t *cost.Tuning) (cost.GPU, bool) {
	g, ok := cost.Card(plan.SM(target))
	_, g.DType, _ = strings.Cut(target, ":")
	g.Tuning = t
	return g, ok
}

// attentionOf are the attributes of an attention step that its cost depends on.
func attentionOf(p plan.Params) *ir.AttentionAttrs {
	return &ir.AttentionAttrs{Heads: p.Heads, D: p.D, Dv: p.Dv, Causal: p.Causal, Rows: ir.RowKind(p.Rows)}
}

// matrixOf is the matrix that a step multiplies by, nil where it has none.
func matrixOf(q *plan.Program, s *plan.Step) *plan.Weight {
	for i, name := range s.Op.Operands() {
		if name == "w" || name == "m" {
			return &q.Weights[s.Args[i].Index]
		}
	}
	return nil
}

// tileIndex is the place of a kernel's tile in launch.LinearTiles, -1 where it
// has none of them.
func tileIndex(k launch.Kernel) int {
	return slices.IndexFunc(launch.LinearTiles(), func(t launch.LinearTile) bool {
		for name, v := range t.Constants() {
			if k.Value(name) != v {
				return false
			}
		}
		return k.Family == "linear"
	})
}
