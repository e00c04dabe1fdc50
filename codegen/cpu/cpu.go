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
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/tensor"
)

// Generate fills in p, a program for a target of the CPU, what follows from
// the scheduled graph, and packs its weights. A product that leaves the
// integers of the target is of kind Unsupported.
func Generate(g *ir.Graph, s *schedule.Schedule, p *plan.Program, weights *codegen.Packer) error {
	elem := plan.Elem(p.Target)
	if err := checkWidths(s, elem); err != nil {
		return err
	}
	w := &packer{weights, elem, map[packKey]int{}}
	codegen.Steps(g, s, p, func(op *ir.Op, i int, l plan.Layout) int { return w.add(op.Args[i], l) })
	return nil
}

// checkWidths refuses products whose sums int8 does not hold.
func checkWidths(s *schedule.Schedule, elem tensor.DType) error {
	if elem != tensor.I8 {
		return nil
	}
	for _, op := range s.Ops {
		if !op.Kind.IsLinear() {
			continue
		}
		if k := op.Arg("w").Type.Width(); k > layout.Most8Inputs {
			return fault.Newf(fault.Unsupported, "%v %q: %d inputs, int8 takes at most %d", op.Kind, op.Label, k, layout.Most8Inputs)
		}
	}
	return nil
}
