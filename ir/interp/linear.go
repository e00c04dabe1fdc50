package interp

import (
	"etc/ir"
	"etc/ir/tensor"
)

// linear is y = act(scaled(x[:,columns]·wᵀ + b)) + residual, where scaled
// multiplies the first Scaled features by Scale.
func linear(c *call) ([]*Array, error) {
	a := c.op.Attrs.(*ir.LinearAttrs)
	x := c.arg("x")
	if columns := c.arg("columns"); columns != nil {
		x = pick(x, columns.I)
	}
	var y *Array
	if c.integers != tensor.Invalid {
		y = integerProduct(c.integers, x, c.arg("w"), c.arg("b"))
	} else {
		y = c.product(x, c.arg("w"), c.arg("b"))
	}
	residual := c.arg("residual")
	for t := range y.rows() {
		row := y.Row(t)
		for n := range a.Scaled {
			row[n] *= a.Scale
		}
		for n, v := range row {
			row[n] = a.Act.Apply(v)
		}
		if residual != nil {
			for n, v := range residual.Row(t) {
				row[n] += v
			}
		}
	}
	return one(y)
}

// A Multiply adds x·wᵀ to y: x [R,K], w [N,K], y [R,N].
type Multiply func(y, x, w *Array)

// Multiplying is p with products in float64 taken by another multiplication,
// which may be faster than plain loops and sum in another order.
func (p *Program) Multiplying(by Multiply) *Program {
	q := *p
	q.multiply = by
	return &q
}

// product is x·wᵀ + b, b may be nil: x [R,K], w [N,K], b [N] -> [R,N].
func (c *call) product(x, w, b *Array) *Array {
	y := zeros(x.rows(), w.rows())
	if c.multiply != nil {
		c.multiply(y, x, w)
	} else {
		multiplyPlain(y, x, w)
	}
	if b != nil {
		for t := range y.rows() {
			row := y.Row(t)
			for n, v := range b.F {
				row[n] += v
			}
		}
	}
	return y
}

func multiplyPlain(y, x, w *Array) {
	parallel(x.rows(), w.rows()*w.width(), func(lo, hi int) {
		t := lo
		for ; t+4 <= hi; t += 4 { // four rows share each load of w
			product4(x, w, y, t)
		}
		for ; t < hi; t++ {
			for n := range w.rows() {
				y.F[t*w.rows()+n] = dot(x.Row(t), w.Row(n))
			}
		}
	})
}

// product4 is four dot products at a time, each summed as dot sums it.
func product4(x, w, y *Array, t int) {
	n := w.rows()
	x0, x1, x2, x3 := x.Row(t), x.Row(t+1), x.Row(t+2), x.Row(t+3)
	for i := range n {
		row := w.Row(i)
		x0, x1, x2, x3 := x0[:len(row)], x1[:len(row)], x2[:len(row)], x3[:len(row)]
		var s0, s1, s2, s3 float64
		for k, v := range row {
			s0 += x0[k] * v
			s1 += x1[k] * v
			s2 += x2[k] * v
			s3 += x3[k] * v
		}
		y.F[t*n+i], y.F[(t+1)*n+i], y.F[(t+2)*n+i], y.F[(t+3)*n+i] = s0, s1, s2, s3
	}
}

// dot is Σ x_k·y_k.
func dot(x, y []float64) float64 {
	var s float64
	for k, v := range y[:len(x)] {
		s += x[k] * v
	}
	return s
}
