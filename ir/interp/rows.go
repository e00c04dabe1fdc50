package interp

import "etc/ir"

// selectRows is the first or last token of each row.
func selectRows(c *call) ([]*Array, error) {
	x := c.arg("x")
	y := zeros(len(c.offsets)-1, x.width())
	for b := range y.rows() {
		at := c.offsets[b]
		if c.op.Attrs.(*ir.SelectRowsAttrs).Rows == ir.LastRows {
			at = c.offsets[b+1] - 1
		}
		copy(y.Row(b), x.Row(at))
	}
	return one(y)
}

// pool is the mean over the tokens of each row.
func pool(c *call) ([]*Array, error) {
	x := c.arg("x")
	y := zeros(len(c.offsets)-1, x.width())
	for b := range y.rows() {
		from, to := c.offsets[b], c.offsets[b+1]
		for t := from; t < to; t++ {
			for i, v := range x.Row(t) {
				y.Row(b)[i] += v
			}
		}
		for i := range y.Row(b) {
			y.Row(b)[i] /= float64(to - from)
		}
	}
	return one(y)
}
