package cpu

import (
	"math"

	"etc/executor"
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

// taskMACs is how much of attention is worth a task of its own: short rows
// share one.
const taskMACs = 1 << 16

// A queryBlock is queries from to to of one row, positions in the row.
type queryBlock struct{ row, from, to int }

// cutQueries lists the blocks of all rows, for attention over all queries.
func (g *group) cutQueries() {
	g.queries = g.queries[:0]
	for row := range g.rows() {
		n := g.rowLength(row)
		blocks := (n + maxQueries - 1) / maxQueries
		for b := range blocks {
			g.queries = append(g.queries, queryBlock{row, n * b / blocks, n * (b + 1) / blocks})
		}
	}
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
	return step{
		Step: s,
		cut:  func(g *group) int { return g.cutAttention(p) },
		task: func(g *group, worker, task int) {
			qkv, q, out := d.input(g, s, attentionQKV), d.optional(g, s, attentionQ), d.output(g, s, 0)
			for item := g.attention[task]; item < g.attention[task+1]; item++ {
				block, head := g.queryBlock(p, item/p.Heads), item%p.Heads
				start := int(g.Offsets[block.row])
				a := kernel.Attention{
					NQ: block.to - block.from, NK: g.rowLength(block.row), D: p.D, DV: p.Dv,
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
					a.Q, a.QStride = q.Data[block.row*q.Stride+head*p.D:], q.Stride
					a.Out = out.Data[block.row*out.Stride+head*p.Dv:]
				}
				a.K = tokens[keys+head*p.D:]
				a.V = tokens[keys+p.Heads*p.D+head*p.Dv:]
				if bias != nil {
					a.Bias = bias[head*biasWidth : (head+1)*biasWidth]
				}
				d.table.Attention(&a, d.scratch[worker])
			}
		},
		macs: func(b *executor.Batch) int64 { return attentionMACs(b, p) },
	}, kernel.AttentionScratch(longestRow(d.program), p.D, p.Dv)
}

// queryBlock is the queries of number i: a block of all of them, or the one of
// row i that is wanted.
func (g *group) queryBlock(p *plan.Params, i int) queryBlock {
	switch p.Rows {
	case plan.AllRows:
		return g.queries[i]
	case plan.LastRows:
		n := g.rowLength(i)
		return queryBlock{i, n - 1, n}
	}
	return queryBlock{i, 0, 1}
}

// cutAttention lists the tasks of an attention step: items, which are a block
// of queries and a head, head by head, as many as make a task worth while.
func (g *group) cutAttention(p *plan.Params) int {
	blocks := g.rows()
	if p.Rows == plan.AllRows {
		blocks = len(g.queries)
	}
	g.attention = append(g.attention[:0], 0)
	macs := 0
	for item := range blocks * p.Heads {
		b := g.queryBlock(p, item/p.Heads)
		macs += (b.to - b.from) * g.rowLength(b.row) * (p.D + p.Dv)
		if macs >= taskMACs || item == blocks*p.Heads-1 {
			g.attention = append(g.attention, item+1)
			macs = 0
		}
	}
	return len(g.attention) - 1
}

// attentionMACs counts scores and values of the keys that each query sees.
func attentionMACs(b *executor.Batch, p *plan.Params) int64 {
	return b.Pairs(p) * int64(p.Heads) * int64(p.D+p.Dv)
}
