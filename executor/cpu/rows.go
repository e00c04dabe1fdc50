package cpu

import "etc/formats/plan"

// bindSelectRows: operands x offsets; the first or last token of each row.
func (d *Device) bindSelectRows(s *plan.Step) step {
	var x, y Rows
	return rowwise(s, func() int {
		x, y = d.input(s, 0), d.output(s, 0)
		return y.Count
	}, func(_, r int) {
		t := d.batch.Offsets[r]
		if s.Params.Rows == plan.LastRows {
			t = d.batch.Offsets[r+1] - 1
		}
		copy(y.Row(r), x.Row(int(t)))
	})
}

// bindPool: operands x offsets; the mean over each row's tokens.
func (d *Device) bindPool(s *plan.Step) step {
	var x, y Rows
	return rowwise(s, func() int {
		x, y = d.input(s, 0), d.output(s, 0)
		return y.Count
	}, func(_, r int) {
		start := int(d.batch.Offsets[r])
		d.table.MeanPool(y.Row(r), x.Data[start*x.Stride:], x.Stride, d.rowLength(r))
	})
}

// bindNormalize: operand x; unit length.
func (d *Device) bindNormalize(s *plan.Step) step {
	var x, y Rows
	return rowwise(s, func() int {
		x, y = d.input(s, 0), d.output(s, 0)
		return x.Count
	}, func(_, r int) { d.table.Normalize(y.Row(r), x.Row(r)) })
}
