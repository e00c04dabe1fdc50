package interp

import (
	"math"

	"etc/ir"
)

// layerNorm is gamma·(x − mean(x))/√(var(x) + eps) + beta by rows, with the
// population variance.
func layerNorm(c *call) ([]*Array, error) {
	return one(norm(c.arg("x"), c.arg("gamma"), c.arg("beta"), c.op.Attrs.(*ir.LayerNormAttrs).Eps))
}

func norm(x, gamma, beta *Array, eps float64) *Array {
	y := zeros(x.Shape...)
	h := float64(x.width())
	for t := range x.rows() {
		var mean, variance float64
		for _, v := range x.row(t) {
			mean += v
		}
		mean /= h
		for _, v := range x.row(t) {
			variance += (v - mean) * (v - mean)
		}
		variance /= h
		for i, v := range x.row(t) {
			y.row(t)[i] = gamma.F[i]*(v-mean)/math.Sqrt(variance+eps) + beta.F[i]
		}
	}
	return y
}

// skipLayerNorm is sum = scatter(x, columns) + residual + bias, norm = layernorm(sum).
func skipLayerNorm(c *call) ([]*Array, error) {
	x, residual := c.arg("x"), c.arg("residual")
	if columns := c.arg("columns"); columns != nil {
		x = spread(x, columns.I, residual.width())
	}
	s := sum(x, residual)
	if bias := c.arg("bias"); bias != nil {
		for t := range s.rows() {
			for i, v := range bias.F {
				s.row(t)[i] += v
			}
		}
	}
	return []*Array{s, norm(s, c.arg("gamma"), c.arg("beta"), c.op.Attrs.(*ir.LayerNormAttrs).Eps)}, nil
}

// shortest is the length below which a vector is not made longer, that of
// torch.nn.functional.normalize.
const shortest = 1e-12

// normalize is x/max(‖x‖, shortest) by rows.
func normalize(c *call) ([]*Array, error) {
	x := c.arg("x")
	y := zeros(x.Shape...)
	for t := range x.rows() {
		length := max(math.Sqrt(dot(x.row(t), x.row(t))), shortest)
		for i, v := range x.row(t) {
			y.row(t)[i] = v / length
		}
	}
	return one(y)
}
