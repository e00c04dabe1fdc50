package cpu

import (
	"fmt"

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
const lines = 32

// rowwise binds an operator that computes each row by itself. prepare is
// called once a batch and returns how many rows there are.
func rowwise(s *plan.Step, prepare func() int, row func(worker, r int)) step {
	p := byRows(prepare, row)
	return step{Step: s, cut: p.cut, task: p.task, rowwise: true, macs: func() int64 { return 0 }}
}

// byRows is a phase whose tasks take so many rows each.
func byRows(prepare func() int, row func(worker, r int)) phase {
	var count int
	return phase{
		cut: func() int {
			count = prepare()
			return (count + lines - 1) / lines
		},
		task: func(worker, task int) {
			for r := task * lines; r < min((task+1)*lines, count); r++ {
				row(worker, r)
			}
		},
	}
}
