package interp

import "etc/ir"

// activation is y = act(x); ir.ActKind.Apply defines each function.
func activation(c *call) ([]*Array, error) {
	x, act := c.arg("x"), c.op.Attrs.(*ir.ActivationAttrs).Act
	y := zeros(x.Shape...)
	for i, v := range x.F {
		y.F[i] = act.Apply(v)
	}
	return one(y)
}

// add is x + y.
func add(c *call) ([]*Array, error) { return one(sum(c.arg("x"), c.arg("y"))) }

func sum(x, y *Array) *Array {
	z := zeros(x.Shape...)
	for i := range z.F {
		z.F[i] = x.F[i] + y.F[i]
	}
	return z
}

// gather is x[:,columns].
func gather(c *call) ([]*Array, error) { return one(pick(c.arg("x"), c.arg("columns").I)) }

func pick(x *Array, columns []int) *Array {
	y := zeros(x.rows(), len(columns))
	for t := range x.rows() {
		for i, column := range columns {
			y.Row(t)[i] = x.Row(t)[column]
		}
	}
	return y
}

// scatter puts column i of x at columns[i] of a result of width N, zeros elsewhere.
func scatter(c *call) ([]*Array, error) {
	return one(spread(c.arg("x"), c.arg("columns").I, c.op.Attrs.(*ir.ScatterAttrs).N))
}

func spread(x *Array, columns []int, n int) *Array {
	y := zeros(x.rows(), n)
	for t := range x.rows() {
		for i, column := range columns {
			y.Row(t)[column] = x.Row(t)[i]
		}
	}
	return y
}
