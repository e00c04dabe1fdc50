package cpu

import "etc/formats/plan"

// bindLayerNorm: operands x gamma beta.
func (d *Device) bindLayerNorm(s *plan.Step) step {
	gamma, beta, eps := d.vector(s, 1), d.vector(s, 2), float32(s.Params.Eps)
	return d.rowwise(s, s.Args[0].Index, func(g *group, _, from, to int) {
		x, y := d.input(g, s, 0), d.output(g, s, 0)
		for r := from; r < to; r++ {
			d.table.LayerNorm(y.Row(r), x.Row(r), gamma, beta, eps)
		}
	})
}

// Operands of skip_layernorm.
const (
	skipX = iota
	skipResidual
	skipGamma
	skipBeta
	skipBias
	skipColumns
)

// bindSkipLayerNorm binds the norm of x + residual + bias, where x may hold
// only some columns: the others add nothing.
func (d *Device) bindSkipLayerNorm(s *plan.Step) (step, int) {
	gamma, beta, bias := d.vector(s, skipGamma), d.vector(s, skipBeta), d.vector(s, skipBias)
	columns, eps := d.indices(s, skipColumns), float32(s.Params.Eps)
	scratch := 0
	if columns != nil {
		scratch = len(gamma)
	}
	return d.rowwise(s, s.Args[skipX].Index, func(g *group, worker, from, to int) {
		x, residual, sum, norm := d.input(g, s, skipX), d.input(g, s, skipResidual), d.output(g, s, 0), d.output(g, s, 1)
		for r := from; r < to; r++ {
			var sumRow, normRow []float32
			if sum.Data != nil {
				sumRow = sum.Row(r)
			}
			if norm.Data != nil {
				normRow = norm.Row(r)
			}
			row := x.Row(r)
			if columns != nil {
				row = scatter(d.scratch[worker][:scratch], row, columns)
			}
			d.table.SkipLayerNorm(sumRow, normRow, row, residual.Row(r), bias, gamma, beta, eps)
		}
	}), scratch
}

// scatter puts x at the given columns of dst, zeros elsewhere.
func scatter(dst, x []float32, columns []int32) []float32 {
	clear(dst)
	for j, c := range columns {
		dst[c] = x[j]
	}
	return dst
}
