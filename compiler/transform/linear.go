package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// What the passes share about linears and their weights.

// hasValues reports whether v is absent or a weight whose values are known.
func hasValues(v *ir.Value) bool {
	t, ok := v.Data()
	return v == nil || ok && t.Data != nil
}

// linearOf returns the operator that defines v where it is a linear with
// known weights, else nil.
func linearOf(v *ir.Value) *ir.Op {
	if op := v.Def; op.Kind == ir.Linear && hasValues(op.Arg("w")) && hasValues(op.Arg("b")) && hasValues(op.Arg("columns")) {
		return op
	}
	return nil
}

// affineOf is linearOf where v is x·Wᵀ + b, perhaps scaled, and nothing else.
func affineOf(v *ir.Value) *ir.Op {
	op := linearOf(v)
	if op == nil || op.Arg("residual") != nil || op.Attrs.(*ir.LinearAttrs).Act != ir.NoAct {
		return nil
	}
	return op
}

// plainOf is affineOf where nothing is scaled.
func plainOf(v *ir.Value) *ir.Op {
	op := affineOf(v)
	if op == nil || op.Attrs.(*ir.LinearAttrs).Scaled != 0 {
		return nil
	}
	return op
}

// valuesOf is the tensor of an operand that is a weight.
func valuesOf(op *ir.Op, operand string) tensor.Tensor {
	t, _ := op.Arg(operand).Data()
	return t
}

// biasOf is the bias of a linear in float64, zeros where it has none.
func biasOf(lin *ir.Op) []float64 {
	if b, ok := lin.Arg("b").Data(); ok {
		return b.Float64s()
	}
	return make([]float64, lin.Arg("w").Type.Rows())
}

// zeroFeatures marks the features of a plain linear that are zero for every
// x: those whose row of W is zero and whose bias is.
func zeroFeatures(lin *ir.Op) []bool {
	zero := sparse.ZeroRows(valuesOf(lin, "w"))
	if b, ok := lin.Arg("b").Data(); ok {
		for i, z := range sparse.ZeroRows(b) {
			zero[i] = zero[i] && z
		}
	}
	return zero
}

// vector is an f64[n] tensor.
func vector(v []float64) tensor.Tensor { return tensor.FromFloat64s([]int{len(v)}, v) }

// relinear returns a linear like lin, before it, with other weights; no b
// leaves the bias out.
func relinear(g *ir.Graph, lin *ir.Op, w tensor.Tensor, b ...tensor.Tensor) *ir.Op {
	attrs := *lin.Attrs.(*ir.LinearAttrs)
	args := slices.Clone(lin.Args)
	args[1], args[2] = reweight(g, lin, "w", w), nil
	for _, values := range b {
		args[2] = reweight(g, lin, "b", values)
	}
	return g.NewBefore(lin, ir.Linear, &attrs, lin.Label, args...)
}

// reweight returns a new weight of the values t for an operand, of the name
// of the one that is there.
func reweight(g *ir.Graph, at *ir.Op, operand string, t tensor.Tensor) *ir.Value {
	name := at.Arg(operand).WeightName()
	if at.Arg(operand) == nil {
		name = at.Label + " bias" // no other operand of a linear that passes fill in may be absent
	}
	return g.NewWeightBefore(at, name, t)
}

// keepRows returns the features of a plain linear that are listed, as a
// linear before it, or the value it has where all are.
func keepRows(g *ir.Graph, lin *ir.Op, rows []int) *ir.Value {
	w := valuesOf(lin, "w")
	if len(rows) == w.Shape[0] {
		return lin.Result()
	}
	var bias []tensor.Tensor
	if b, ok := lin.Arg("b").Data(); ok {
		bias = append(bias, sparse.Rows(b, rows))
	}
	return relinear(g, lin, sparse.Rows(w, rows), bias...).Result()
}

// keepColumns returns a linear like lin whose x has only the listed columns.
func keepColumns(g *ir.Graph, lin *ir.Op, x *ir.Value, columns []int) *ir.Op {
	w := reweight(g, lin, "w", sparse.Columns(valuesOf(lin, "w"), columns))
	attrs := *lin.Attrs.(*ir.LinearAttrs)
	return g.NewBefore(lin, ir.Linear, &attrs, lin.Label, x, w, lin.Arg("b"), lin.Arg("residual"))
}

// constantRows makes lin what it is where its x is zero: every row of the
// result is its bias, act and residual included. A product of no inputs is no
// operator of the set, so it multiplies one column of x by zeros, at one
// multiplication a feature.
func constantRows(g *ir.Graph, lin *ir.Op, x *ir.Value) *ir.Op {
	n := int(lin.Arg("w").Type.Rows())
	w := g.NewWeightBefore(lin, lin.Arg("w").WeightName(), sparse.Zeros(tensor.F32, n, 1))
	first := g.NewWeightBefore(lin, lin.Label+" columns", tensor.FromInt32s([]int{1}, []int32{0}))
	attrs := *lin.Attrs.(*ir.LinearAttrs)
	return g.NewBefore(lin, ir.Linear, &attrs, lin.Label, x, w, lin.Arg("b"), lin.Arg("residual"), first)
}

// timesVector is W·x in float64.
func timesVector(w tensor.Tensor, x []float64) []float64 {
	n, k := w.Shape[0], w.Shape[1]
	y, v := make([]float64, n), w.Float64s()
	for i := range y {
		for j, xj := range x {
			y[i] += float64(v[i*k+j] * xj) // rounded, so that no machine fuses it
		}
	}
	return y
}
