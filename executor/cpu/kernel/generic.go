package kernel

import (
	"math"
	"math/bits"

	"etc/executor/cpu/kernel/approx"
)

// The portable forms of what gen emits. A conversion of each product keeps the
// compiler from fusing it into the sum, so that all machines give the same bits.

func denseGeneric(rows, panels int, x []float32, xStride int, w []float32, stepStride, panelStride int, y []float32, yStride, k int, bias []float32) {
	for r := range rows {
		for p := range panels {
			acc := [lanes]float32(bias[p*lanes:])
			for i, xv := range x[r*xStride : r*xStride+k] {
				multiplyAdd(&acc, xv, (*[lanes]float32)(w[p*panelStride+i*stepStride:]))
			}
			copy(y[r*yStride+p*lanes:], acc[:])
		}
	}
}

func multiplyAdd(acc *[lanes]float32, x float32, w *[lanes]float32) {
	for j := range acc {
		acc[j] += float32(x * w[j])
	}
}

func tilesGeneric(rows int, x []float32, xStride int, w []float32, columns []int32, rest int, y []float32, yStride int, bias []float32) {
	for r := range rows {
		acc := [lanes]float32(bias)
		for t, c := range columns {
			inputs := lanes
			if rest > 0 && t == len(columns)-1 {
				inputs = rest
			}
			first := r*xStride + int(c)*lanes
			for i, xv := range x[first : first+inputs] {
				multiplyAdd(&acc, xv, (*[lanes]float32)(w[(t*lanes+i)*lanes:]))
			}
		}
		copy(y[r*yStride:], acc[:])
	}
}

func csrGeneric(vecs int, xt []float32, masks []uint64, values, sums, bias []float32, biasStep int) {
	tokens := vecs * lanes
	for i, m := range masks {
		y := sums[i*tokens : (i+1)*tokens]
		if bias != nil {
			for r := range y {
				y[r] = bias[i*biasStep]
			}
		}
		for ; m != 0; m &= m - 1 {
			b := bits.TrailingZeros64(m)
			for r, x := range xt[b*tokens : (b+1)*tokens] {
				y[r] += float32(values[0] * x)
			}
			values = values[1:]
		}
	}
}

func activateGeneric(a Activation, y []float32, yStride, rows, vecs int) {
	for r := range rows {
		row := y[r*yStride : r*yStride+vecs*lanes]
		for i, x := range row {
			row[i] = a.at(x)
		}
	}
}

// at is the activation of one value, in float64.
func (a Activation) at(x float32) float32 {
	v := float64(x)
	switch a {
	case GELU:
		h := max(v, -approx.GELULimit) / 2
		return float32(h + float64(h*odd(approx.ErfNumerator, approx.ErfDenominator, approx.GELULimit, v)))
	case GELUTanh:
		h := max(v, -approx.GELUTanhLimit) / 2
		u := min(max(v, -approx.GELUTanhLimit), approx.GELUTanhLimit)
		u *= approx.GELUTanhLinear + float64(approx.GELUTanhCubic*float64(u*u))
		return float32(h + float64(h*odd(approx.TanhNumerator, approx.TanhDenominator, approx.TanhLimit, u)))
	case ReLU:
		if x < 0 {
			return 0
		}
	case Tanh:
		return float32(odd(approx.TanhNumerator, approx.TanhDenominator, approx.TanhLimit, v))
	}
	return x
}

// odd is x·P(x²)/Q(x²), and ±1 from limit on.
func odd(p, q []float64, limit, x float64) float64 {
	if math.Abs(x) >= limit {
		return math.Copysign(1, x)
	}
	s := x * x
	return x * horner(p, s) / horner(q, s)
}

func horner(c []float64, s float64) float64 {
	p := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		p = float64(p*s) + c[i]
	}
	return p
}

func softmaxGeneric(p []float32, stride, rows, vecs int) {
	for r := range rows {
		softmaxRow(p[r*stride:][:vecs*lanes])
	}
}

func softmaxRow(p []float32) {
	most := p[0]
	for _, v := range p {
		most = max(most, v)
	}
	var sum [lanes]float32
	for i, v := range p {
		p[i] = exp2(v - most)
		sum[i%lanes] += p[i]
	}
	factor := 1 / foldSum(&sum)
	for i := range p {
		p[i] *= factor
	}
}

// exp2 is 2^x for x ≤ 0; 0 where that is below the normal numbers.
func exp2(x float32) float32 {
	if x < approx.Exp2Limit+0.5 {
		return 0
	}
	n := math.RoundToEven(float64(x))
	return float32(math.Ldexp(horner(approx.Exp2, float64(x)-n), int(n)))
}

func sumExp2Generic(x []float32, factor, shift float32, sum *[lanes]float32) {
	for i, v := range x {
		sum[i%lanes] += exp2(float32(v*factor) - shift)
	}
}

func addRowsGeneric(y []float32, yStride int, r []float32, rStride, rows, vecs int, m float32) {
	for i := range rows {
		a := y[i*yStride : i*yStride+vecs*lanes]
		for j, v := range r[i*rStride : i*rStride+vecs*lanes] {
			a[j] += float32(m * v)
		}
	}
}

func scaleRowsGeneric(y []float32, yStride, rows, vecs int, m float32) {
	for i := range rows {
		a := y[i*yStride : i*yStride+vecs*lanes]
		for j := range a {
			a[j] *= m
		}
	}
}

func sumLanesGeneric(x []float32, sum *[lanes]float32) {
	for i, v := range x {
		sum[i%lanes] += v
	}
}

func squareLanesGeneric(x []float32, mean float32, sum *[lanes]float32) {
	for i, v := range x {
		d := v - mean
		sum[i%lanes] += float32(d * d)
	}
}

func normalizeGeneric(y, x, gamma, beta []float32, mean, scale float32) {
	for i, v := range x {
		y[i] = float32(float32((v-mean)*scale)*gamma[i]) + beta[i]
	}
}

// foldSum adds 16 lanes by the fixed tree: i and i+8, then i+4, i+2, i+1.
func foldSum(v *[lanes]float32) float32 {
	s := *v
	for half := lanes / 2; half > 0; half /= 2 {
		for i := range half {
			s[i] += s[i+half]
		}
	}
	return s[0]
}
