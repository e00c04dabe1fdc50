package cpu

import (
	"math"

	"etc/executor/cpu/kernel"
	"etc/formats/plan"
)

// Operands of the fused attention operators.
const (
	attentionQKV = iota
	attentionOffsets
	attentionQ
	attentionBias
)

// maxQueries is how many queries of one row a task takes: so few that a long
// row serves all threads, so many that laying out its keys again is little.
const maxQueries = 128

// A queryBlock is queries from to to of one row, positions in the row.
type queryBlock struct{ row, from, to int }

// cutQueries lists the blocks of all rows, for attention over all queries.
func (d *Device) cutQueries() {
	d.queries = d.queries[:0]
	for row := range d.rows() {
		n := d.rowLength(row)
		blocks := (n + maxQueries - 1) / maxQueries
		for b := range blocks {
			d.queries = append(d.queries, queryBlock{row, n * b / blocks, n * (b + 1) / blocks})
		}
	}
}

func (d *Device) rowLength(row int) int {
	return int(d.batch.Offsets[row+1] - d.batch.Offsets[row])
}

// longestRow is the largest row that any bucket takes.
func longestRow(p *plan.Program) int { return p.Buckets[len(p.Buckets)-1].MaxTokens }

// softmaxScales are the factors of scores and bias for a softmax to base 2.
func softmaxScales(p *plan.Params) (scale, bias float32) {
	if p.Exp2 {
		return float32(p.Scale), 1
	}
	return float32(p.Scale * math.Log2E), math.Log2E
}

// bindAttention binds the fused attention operators. On the CPU one kernel
// serves all three: it keeps rows of scores in cache a few queries at a time,
// so which of them a bucket chose changes nothing but the prediction.
func (d *Device) bindAttention(s *plan.Step) (step, int) {
	p := &s.Params
	scale, biasScale := softmaxScales(p)
	bias, biasWidth := d.vector(s, attentionBias), 0
	if bias != nil {
		biasWidth = len(bias) / p.Heads
	}
	all := p.Rows == plan.AllRows
	var qkv, q, out Rows
	return step{
		Step: s,
		cut: func() int {
			qkv, q, out = d.input(s, attentionQKV), d.optional(s, attentionQ), d.output(s, 0)
			if all {
				return len(d.queries) * p.Heads
			}
			return d.rows() * p.Heads
		},
		task: func(worker, task int) {
			item, head := task/p.Heads, task%p.Heads
			block := queryBlock{row: item}
			if all {
				block = d.queries[item]
			} else if block.to = 1; p.Rows == plan.LastRows {
				block.from = d.rowLength(item) - 1
				block.to = block.from + 1
			}
			start := int(d.batch.Offsets[block.row])
			a := kernel.Attention{
				NQ: block.to - block.from, NK: d.rowLength(block.row), D: p.D, DV: p.Dv,
				Scale: scale, Causal: p.Causal, First: block.from, BiasScale: biasScale,
				KStride: qkv.Stride, VStride: qkv.Stride, OutStride: out.Stride,
			}
			tokens := qkv.Data[start*qkv.Stride:]
			keys := 0
			if all {
				a.Q, a.QStride = tokens[block.from*qkv.Stride+head*p.D:], qkv.Stride
				a.Out = out.Data[(start+block.from)*out.Stride+head*p.Dv:]
				keys = p.Heads * p.D
			} else {
				a.Q, a.QStride = q.Data[item*q.Stride+head*p.D:], q.Stride
				a.Out = out.Data[item*out.Stride+head*p.Dv:]
			}
			a.K = tokens[keys+head*p.D:]
			a.V = tokens[keys+p.Heads*p.D+head*p.Dv:]
			if bias != nil {
				a.Bias = bias[head*biasWidth : (head+1)*biasWidth]
			}
			d.table.Attention(&a, d.scratch[worker])
		},
		macs: func() int64 { return d.attentionMACs(p) },
	}, kernel.AttentionScratch(longestRow(d.program), p.D, p.Dv)
}

// attentionMACs counts scores and values of the keys that each query sees.
func (d *Device) attentionMACs(p *plan.Params) int64 {
	return d.batch.Pairs(p) * int64(p.Heads) * int64(p.D+p.Dv)
}
