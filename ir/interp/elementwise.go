package interp

import (
	"math"

	"etc/ir"
)

// apply is an activation function.
func apply(act ir.ActKind, x float64) float64 {
	switch act {
	case ir.NoAct:
		return x
	case ir.GELU:
		return x * 0.5 * (1 + math.Erf(x/math.Sqrt2))
	case ir.GELUTanh:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case ir.ReLU:
		return max(x, 0)
	case ir.Tanh:
		return math.Tanh(x)
	}
	panic("bug: interp: unknown activation")
}

// activation is y = act(x).
func activation(c *call) ([]*Array, error) {
	x := c.arg("x")
	y := zeros(x.Shape...)
	for i, v := range x.F {
		y.F[i] = apply(c.op.Attrs.(*ir.ActivationAttrs).Act, v)
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
			y.row(t)[i] = x.row(t)[column]
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
			y.row(t)[column] = x.row(t)[i]
		}
	}
	return y
}
