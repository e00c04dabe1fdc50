package cpu

import (
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/formats/plan"
	"etc/formats/plan/layout"
)

// Operands of vo_attention.
const (
	voQK = iota
	voX
	voM
	voOffsets
	voB
)

// bindVOAttention binds attention over precomputed W_V·W_O: out = b + Σ_h
// P_h·(x·M_hᵀ), heads added in ascending order. One task is one row of
// tokens; it holds x·Mᵀ of all heads and the result of one head.
func (d *Device) bindVOAttention(s *plan.Step) (step, int) {
	p := &s.Params
	m := d.weights[s.Args[voM].Index].panels
	bias := d.vector(s, voB)
	scale, _ := softmaxScales(p)
	longest := longestRow(d.program)
	values, result := longest*m.N, longest*p.Dv
	return step{
		Step: s,
		cut:  func(g *group) int { return g.rows() },
		task: func(g *group, worker, row int) {
			qk, x, out := d.input(g, s, voQK), d.input(g, s, voX), d.output(g, s, 0)
			start, n := int(g.Offsets[row]), g.rowLength(row)
			scratch := d.scratch[worker]
			xm, y, rest := scratch[:values], scratch[values:values+result], scratch[values+result:]
			d.table.Dense(&kernel.Linear{
				Rows: n, X: x.Data[start*x.Stride:], XStride: x.Stride, Y: xm, YStride: m.N,
			}, m, 0, layout.Blocks(m.N))
			for i := range n {
				row := out.Row(start + i)
				clear(row)
				copy(row, bias)
			}
			for h := range p.Heads {
				tokens := qk.Data[start*qk.Stride:]
				d.table.Attention(&kernel.Attention{
					NQ: n, NK: n, D: p.D, DV: p.Dv, Scale: scale, Causal: p.Causal,
					Q: tokens[h*p.D:], QStride: qk.Stride,
					K: tokens[(p.Heads+h)*p.D:], KStride: qk.Stride,
					V: xm[h*p.Dv:], VStride: m.N, Out: y, OutStride: p.Dv,
				}, rest)
				for i := range n {
					to := out.Row(start + i)
					for j, v := range y[i*p.Dv : (i+1)*p.Dv] {
						to[j] += v
					}
				}
			}
		},
		macs: func(b *executor.Batch) int64 {
			return int64(len(b.IDs))*int64(m.N)*int64(m.K) + attentionMACs(b, p)
		},
	}, values + result + kernel.AttentionScratch(longest, p.D, p.Dv)
}
