package cpu

import "etc/formats/plan"

// bindLayerNorm: operands x gamma beta.
func (d *Device) bindLayerNorm(s *plan.Step) step {
	gamma, beta, eps := d.vector(s, 1), d.vector(s, 2), float32(s.Params.Eps)
	var x, y Rows
	return rowwise(s, func() int {
		x, y = d.input(s, 0), d.output(s, 0)
		return x.Count
	}, func(_, r int) { d.table.LayerNorm(y.Row(r), x.Row(r), gamma, beta, eps) })
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
	var x, residual, sum, norm Rows
	return rowwise(s, func() int {
		x, residual, sum, norm = d.input(s, skipX), d.input(s, skipResidual), d.output(s, 0), d.output(s, 1)
		return x.Count
	}, func(worker, r int) {
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
