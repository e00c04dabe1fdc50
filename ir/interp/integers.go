package interp

import (
	"math"

	"etc/ir/tensor"
)

// Quantised is p with the products of linear operators taken in integers of
// type d, I16 or I8. All others, linear_nll and vo_attention among them, stay
// as they are.
//
//	y_n = Σ_k q_k·w_nk · u_n·u + b_n
//
// q and u are Quantise of the row of x that goes in, w_n and u_n those of row n
// of the weight. The sum is one of integers, exact. Kernels round it to float32,
// and the product with u_n, that with u, and the sum with b_n.
func (p *Program) Quantised(d tensor.DType) *Program {
	q := *p
	q.integers = d
	return &q
}

// Quantise gives the integers q of a row of float32 values x and the value u
// of one unit, so that x ≈ u·q. With every step rounded to the nearest, ties
// to even, and f and u to float32:
//
//	I16: n = ‖x‖, f = 32700/n, u = n/32700
//	I8:  n = max|x|, f = 127/n, u = n/127
//	q_k = round(float32(x_k·f)), saturated to d
//
// ‖x‖² is summed in float64 in 16 lanes, each over every 16th value, ascending;
// then lanes i and i+8 are added, i and i+4, i and i+2, i and i+1. A row of
// n < 2⁻¹⁰⁰ is all zeros, u = 0. Where a value is not finite, so that n is not,
// q is all zeros and u is NaN.
func Quantise(d tensor.DType, x []float64) (q []int, u float64) {
	n, most := largest(x), 127.0
	if d == tensor.I16 {
		n, most = rowNorm(x), 32700
	}
	q = make([]int, len(x))
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return q, math.NaN()
	case n < math.Ldexp(1, -100):
		return q, 0
	}
	f := float32(most / n)
	low, high := -128.0, 127.0
	if d == tensor.I16 {
		low, high = math.MinInt16, math.MaxInt16
	}
	for k, v := range x {
		q[k] = int(min(max(math.RoundToEven(float64(float32(v)*f)), low), high))
	}
	return q, float64(float32(n / most))
}

// rowNorm is ‖x‖, summed as Quantise says.
func rowNorm(x []float64) float64 {
	var lanes [16]float64
	for k, v := range x {
		lanes[k%16] += v * v
	}
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			lanes[i] += lanes[i+half]
		}
	}
	return math.Sqrt(lanes[0])
}

// largest is max|x|, NaN where one is.
func largest(x []float64) float64 {
	n := 0.0
	for _, v := range x {
		n = max(n, math.Abs(v))
	}
	return n
}

// integerProduct is product in integers of type d.
func integerProduct(d tensor.DType, x, w, b *Array) *Array {
	y := zeros(x.rows(), w.rows())
	weights, units := quantiseRows(d, w)
	inputs, inputUnits := quantiseRows(d, x)
	parallel(x.rows(), w.rows()*w.width(), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for n := range w.rows() {
				sum := 0
				for k, q := range inputs[t] {
					sum += q * weights[n][k]
				}
				y.Row(t)[n] = float64(sum) * units[n] * inputUnits[t]
				if b != nil {
					y.Row(t)[n] += b.F[n]
				}
			}
		}
	})
	return y
}

// quantiseRows quantises the rows of a, rounded to float32.
func quantiseRows(d tensor.DType, a *Array) (q [][]int, units []float64) {
	q, units = make([][]int, a.rows()), make([]float64, a.rows())
	for i := range q {
		row := make([]float64, a.width())
		for k, v := range a.Row(i) {
			row[k] = float64(float32(v))
		}
		q[i], units[i] = Quantise(d, row)
	}
	return q, units
}
