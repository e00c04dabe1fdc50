package kernel

import "math"

// LayerNorm is y = (x-mean)/√(var+eps)·gamma + beta for one row; var is the
// mean of (x-mean)². y may be x. Sums are taken in 16 lanes and a fixed tree,
// mean first, with no fused operations: every level gives the same bits.
func (t *Table) LayerNorm(y, x, gamma, beta []float32, eps float32) {
	n := float32(len(x))
	var sum, squares [lanes]float32
	t.sumLanes(x, &sum)
	mean := foldSum(&sum) / n
	t.squareLanes(x, mean, &squares)
	t.normalize(y, x, gamma, beta, mean, 1/sqrt(foldSum(&squares)/n+eps))
}

// SkipLayerNorm is sum = x + residual + bias and norm = LayerNorm(sum) for one
// row. Bias may be nil, and one of sum and norm; sum may be x.
func (t *Table) SkipLayerNorm(sum, norm, x, residual, bias, gamma, beta []float32, eps float32) {
	if sum == nil {
		sum = norm
	}
	copy(sum[:len(x)], x)
	t.Add(sum[:len(x)], residual)
	if bias != nil {
		t.Add(sum[:len(x)], bias)
	}
	if norm != nil {
		t.LayerNorm(norm, sum[:len(x)], gamma, beta, eps)
	}
}

// Add is y += r.
func (t *Table) Add(y, r []float32) {
	r = r[:len(y)]
	whole := len(y) / lanes
	t.addRows(y, 0, r, 0, 1, whole, 1)
	for i := whole * lanes; i < len(y); i++ {
		y[i] += r[i]
	}
}

// Scale is y *= m.
func (t *Table) Scale(y []float32, m float32) {
	whole := len(y) / lanes
	t.scaleRows(y, 0, 1, whole, m)
	for i := whole * lanes; i < len(y); i++ {
		y[i] *= m
	}
}

// Activate is y = a(y).
func (t *Table) Activate(a Activation, y []float32) {
	whole := len(y) / lanes * lanes
	t.activate(a, y, 0, 1, whole/lanes)
	if whole < len(y) {
		var tail [lanes]float32
		n := copy(tail[:], y[whole:])
		t.activate(a, tail[:], 0, 1, 1)
		copy(y[whole:], tail[:n])
	}
}

// EmbedRow is y = scale·word + position + types for one token. Position and
// types may be nil.
func (t *Table) EmbedRow(y, word, position, types []float32, scale float32) {
	copy(y, word)
	if scale != 1 {
		t.Scale(y, scale)
	}
	for _, v := range [...][]float32{position, types} {
		if v != nil {
			t.Add(y, v)
		}
	}
}

// MeanPool is y = the mean of rows ≥ 1 rows of x, added in order.
func (t *Table) MeanPool(y, x []float32, stride, rows int) {
	copy(y, x[:len(y)])
	for r := 1; r < rows; r++ {
		t.Add(y, x[r*stride:])
	}
	n := float32(rows)
	for i := range y {
		y[i] /= n
	}
}

// minNorm is the length below which a vector is not made longer, as in torch.nn.functional.normalize.
const minNorm = 1e-12

// Normalize is y = x/|x|. y may be x.
func (t *Table) Normalize(y, x []float32) {
	var squares [lanes]float32
	t.squareLanes(x, 0, &squares)
	norm := max(sqrt(foldSum(&squares)), minNorm)
	for i, v := range x {
		y[i] = v / norm
	}
}

// sqrt is correctly rounded: √ in float64 of a float32, rounded again, always is.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
