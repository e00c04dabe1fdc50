package cpu

import "etc/formats/plan"

// bindSelectRows: operands x offsets; the first or last token of each row.
func (d *Device) bindSelectRows(s *plan.Step) step {
	return d.rowwise(s, s.Results[0], func(g *group, _, from, to int) {
		x, y := d.input(g, s, 0), d.output(g, s, 0)
		for r := from; r < to; r++ {
			t := g.Offsets[r]
			if s.Params.Rows == plan.LastRows {
				t = g.Offsets[r+1] - 1
			}
			copy(y.Row(r), x.Row(int(t)))
		}
	})
}

// bindPool: operands x offsets; the mean over each row's tokens.
func (d *Device) bindPool(s *plan.Step) step {
	return d.rowwise(s, s.Results[0], func(g *group, _, from, to int) {
		x, y := d.input(g, s, 0), d.output(g, s, 0)
		for r := from; r < to; r++ {
			start := int(g.Offsets[r])
			d.table.MeanPool(y.Row(r), x.Data[start*x.Stride:], x.Stride, g.rowLength(r))
		}
	})
}

// bindNormalize: operand x; unit length.
func (d *Device) bindNormalize(s *plan.Step) step {
	return d.rowwise(s, s.Results[0], func(g *group, _, from, to int) {
		x, y := d.input(g, s, 0), d.output(g, s, 0)
		for r := from; r < to; r++ {
			d.table.Normalize(y.Row(r), x.Row(r))
		}
	})
}
