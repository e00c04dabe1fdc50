package gradient

import (
	"math"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/prune/linalg"
)

// embed ends it: below are tables and numbers.
func embed(*backward, *interp.Array) error { return nil }

// activation: y = act(x).
func activation(b *backward, by *interp.Array) error {
	x, to, act := b.arg("x"), b.to("x"), b.op.Attrs.(*ir.ActivationAttrs).Act
	for i, d := range by.F {
		to.F[i] += float64(d * act.Derivative(x.F[i]))
	}
	return nil
}

// add: both operands get all of it.
func add(b *backward, by *interp.Array) error {
	addTo(b.to("x").F, by.F)
	addTo(b.to("y").F, by.F)
	return nil
}

// linear: y = act(x·Wᵀ + b). What else passes fuse into it is not known here.
func linear(b *backward, by *interp.Array) error {
	a := b.op.Attrs.(*ir.LinearAttrs)
	if a.Scaled > 0 || b.op.Arg("residual") != nil || b.op.Arg("columns") != nil {
		return fault.Newf(fault.Internal, "gradient: %s: a linear that a pass has fused", b.op.Label)
	}
	d := matrix(by)
	if a.Act != ir.NoAct {
		before := linalg.New(d.Rows, d.Cols)
		linalg.AddProduct(before, 1, matrix(b.arg("x")), matrix(b.arg("w")), false, true)
		for t := range before.Rows {
			to := before.Row(t)
			if bias := b.arg("b"); bias != nil {
				addTo(to, bias.F)
			}
			for i, x := range to {
				to[i] = by.Row(t)[i] * a.Act.Derivative(x)
			}
		}
		d = before
	}
	linalg.AddProduct(matrix(b.to("x")), 1, d, matrix(b.arg("w")), false, false)
	return nil
}

// layerNorm: y = γ·x̂ + β, x̂ = (x − mean)/σ. With g = γ·dy, dx = (g − mean(g) − x̂·mean(g·x̂))/σ.
func layerNorm(b *backward, by *interp.Array) error {
	x, gamma, to := b.arg("x"), b.arg("gamma").F, b.to("x")
	eps, n := b.op.Attrs.(*ir.LayerNormAttrs).Eps, float64(len(gamma))
	unit, g := make([]float64, len(gamma)), make([]float64, len(gamma))
	for t := range x.Shape[0] {
		mean, variance, along, across := 0.0, 0.0, 0.0, 0.0
		for _, v := range x.Row(t) {
			mean += v
		}
		mean /= n
		for i, v := range x.Row(t) {
			unit[i] = v - mean
		}
		variance = dot(unit, unit) / n
		sigma := math.Sqrt(variance + eps)
		for i, d := range by.Row(t) {
			unit[i] /= sigma
			g[i] = gamma[i] * d
			along += g[i]
		}
		along, across = along/n, dot(g, unit)/n
		for i, v := range g {
			to.Row(t)[i] += (v - along - float64(unit[i]*across)) / sigma
		}
	}
	return nil
}

// selectRows: the first or last token of each row.
func selectRows(b *backward, by *interp.Array) error {
	to := b.to("x")
	for r := range by.Shape[0] {
		at := b.offsets[r]
		if b.op.Attrs.(*ir.SelectRowsAttrs).Rows == ir.LastRows {
			at = b.offsets[r+1] - 1
		}
		addTo(to.Row(at), by.Row(r))
	}
	return nil
}

// pool: the mean over the tokens of a row.
func pool(b *backward, by *interp.Array) error {
	to := b.to("x")
	for r := range by.Shape[0] {
		n := float64(b.offsets[r+1] - b.offsets[r])
		for t := b.offsets[r]; t < b.offsets[r+1]; t++ {
			for i, d := range by.Row(r) {
				to.Row(t)[i] += d / n
			}
		}
	}
	return nil
}

// normalize: y = x/‖x‖, dx = (dy − y·(y·dy))/‖x‖; below interp.Shortest it only scales.
func normalize(b *backward, by *interp.Array) error {
	x, to := b.arg("x"), b.to("x")
	for t := range x.Shape[0] {
		v, d := x.Row(t), by.Row(t)
		length := math.Sqrt(dot(v, v))
		along := 0.0
		if length > interp.Shortest {
			along = dot(v, d) / length / length
		}
		for i := range v {
			to.Row(t)[i] += (d[i] - float64(v[i]*along)) / max(length, interp.Shortest)
		}
	}
	return nil
}

// linearNLL: nll[t] = log Σ exp(l) − l[ids[t]] with l = W·x[t−1] + b, so that
// dl = (softmax(l) − onehot(ids[t]))·dnll[t]. Hits have no derivative.
func linearNLL(b *backward, by *interp.Array) error {
	x, w, bias, ids, to := b.arg("x"), b.arg("w"), b.arg("b"), b.arg("ids").I, b.to("x")
	for r := range len(b.offsets) - 1 {
		from, n := b.offsets[r], b.offsets[r+1]-b.offsets[r]-1
		if n == 0 {
			continue
		}
		logits := linalg.New(n, w.Shape[0])
		linalg.AddProduct(logits, 1, part(x, from, n), matrix(w), false, true)
		for i := range n {
			l := logits.Row(i)
			if bias != nil {
				addTo(l, bias.F)
			}
			Softmax(l)
			l[ids[from+1+i]]--
			for j := range l {
				l[j] *= by.F[from+1+i]
			}
		}
		linalg.AddProduct(part(to, from, n), 1, logits, matrix(w), false, false)
	}
	return nil
}

// part is n rows of a from one on.
func part(a *interp.Array, from, n int) linalg.Matrix {
	w := a.Shape[1]
	return linalg.Matrix{Rows: n, Cols: w, Stride: w, Data: a.F[from*w : (from+n)*w]}
}

// Softmax replaces x by exp(x)/Σ exp(x).
func Softmax(x []float64) {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, v)
	}
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}
