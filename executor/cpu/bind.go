package cpu

import (
	"fmt"

	"etc/executor"
	"etc/formats/plan"
)

// bind makes step i of the plan runnable and returns the float32 values of
// scratch that its tasks need.
func (d *Device) bind(i int) (step, int) {
	s := &d.program.Steps[i]
	switch s.Op {
	case plan.Embed:
		return d.bindEmbed(s), 0
	case plan.EmbedLayerNorm:
		return d.bindEmbedLayerNorm(s), 0
	case plan.LayerNorm:
		return d.bindLayerNorm(s), 0
	case plan.SkipLayerNorm:
		return d.bindSkipLayerNorm(s)
	case plan.Linear, plan.BlockSparseLinear, plan.CSRLinear, plan.Sparse24Linear:
		return d.bindLinear(s)
	case plan.OTFAttention, plan.PartialOTFAttention, plan.FlashAttention:
		return d.bindAttention(s)
	case plan.VOAttention:
		return d.bindVOAttention(s)
	case plan.SelectRows:
		return d.bindSelectRows(s), 0
	case plan.Pool:
		return d.bindPool(s), 0
	case plan.Normalize:
		return d.bindNormalize(s), 0
	case plan.LinearNLL:
		return d.bindLinearNLL(s)
	}
	panic(fmt.Sprintf("bug: executor/cpu: no kernel for %v", s.Op))
}

// lines is how many rows a task of a row-wise operator takes.
const lines = 16

// rowwise binds an operator that computes each row by itself. Buffer counted
// says how many rows there are; rows computes those from from to to.
func (d *Device) rowwise(s *plan.Step, counted int, rows func(g *group, worker, from, to int)) step {
	p := d.byRows(counted, rows)
	return step{Step: s, cut: p.cut, task: p.task, rowwise: true, macs: func(*executor.Batch) int64 { return 0 }}
}

// byRows is a phase whose tasks take so many rows each.
func (d *Device) byRows(counted int, rows func(g *group, worker, from, to int)) phase {
	kind := d.program.Buffers[counted].Rows
	return phase{
		cut: func(g *group) int { return (g.count(kind) + lines - 1) / lines },
		task: func(g *group, worker, task int) {
			rows(g, worker, task*lines, min((task+1)*lines, g.count(kind)))
		},
	}
}
