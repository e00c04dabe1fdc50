package eval

import "math"

// HalfWidth is half the 95 % interval of the drop, in its unit: a --max-drop
// below it is below the noise of the rows.
func (c *Comparison) HalfWidth() float64 { return (c.High - c.Low) / 2 }

// ExpectedHalfWidth is the half-width, in points, to expect of the drop of a
// classifier of that accuracy on so many rows, before any pruned one is
// judged: 1.96·√(ψ/rows), where ψ is the share of rows that one of the two models
// alone has right. It takes ψ = accuracy·(1 − accuracy)/2, a quarter of what two
// independent models have: that is 0.051 for minilm-sst2 on SST-2, which with
// 30 and 50 % zeros had 0.042 and 0.054. References: Agresti, Categorical Data
// Analysis, section 10.1.1.
func ExpectedHalfWidth(rows int, accuracy float64) float64 {
	return 100 * normal * math.Sqrt(accuracy*(1-accuracy)/2/float64(rows))
}

// RowsNeeded is the number of rows on which an interval that is halfWidth wide
// to each side on so many rows would be at most drop wide: both in the same
// unit. A half-width goes with 1/√rows. No number of rows is enough for a drop
// of 0, which is not ok, unless nothing differs.
func RowsNeeded(rows int, halfWidth, drop float64) (needed int, ok bool) {
	if halfWidth <= drop {
		return rows, true
	}
	ratio := halfWidth / drop
	n := math.Ceil(float64(rows) * ratio * ratio)
	const most = 1 << 53 // float64 counts no further
	if !(n <= most) {
		return 0, false
	}
	return int(n), true
}
