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
		for _, v := range x.Row(t) {
			mean += v
		}
		mean /= h
		for _, v := range x.Row(t) {
			variance += (v - mean) * (v - mean)
		}
		variance /= h
		for i, v := range x.Row(t) {
			y.Row(t)[i] = gamma.F[i]*(v-mean)/math.Sqrt(variance+eps) + beta.F[i]
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
				s.Row(t)[i] += v
			}
		}
	}
	return []*Array{s, norm(s, c.arg("gamma"), c.arg("beta"), c.op.Attrs.(*ir.LayerNormAttrs).Eps)}, nil
}

// Shortest is the length below which a vector is not made longer, that of
// torch.nn.functional.normalize.
const Shortest = 1e-12

// normalize is x/max(‖x‖, Shortest) by rows.
func normalize(c *call) ([]*Array, error) {
	x := c.arg("x")
	y := zeros(x.Shape...)
	for t := range x.rows() {
		length := max(math.Sqrt(dot(x.Row(t), x.Row(t))), Shortest)
		for i, v := range x.Row(t) {
			y.Row(t)[i] = v / length
		}
	}
	return one(y)
}
