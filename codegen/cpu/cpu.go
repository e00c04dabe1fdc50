// Package cpu turns a scheduled graph into the steps and packed weights that
// executor/cpu runs.
//
// A schedule enters; Buffers, Steps and Outputs of a program leave, and weights
// for the packer that the programs of a plan share. Every kernel operator becomes one step;
// kernels themselves are fixed and live in executor/cpu/kernel, so no code is
// generated here. A weight is packed once for each layout it is read in.
package cpu

import (
	"etc/codegen"
	"etc/compiler/schedule"
	"etc/formats/plan"
	"etc/ir"
)

// Generate fills in p, a program for a target of the CPU, what follows from
// the scheduled graph, and packs its weights.
func Generate(g *ir.Graph, s *schedule.Schedule, p *plan.Program, weights *codegen.Packer) {
	w := &packer{weights, map[packKey]int{}}
	codegen.Steps(g, s, p, func(op *ir.Op, i int, l plan.Layout) int { return w.add(op.Args[i], l) })
}
