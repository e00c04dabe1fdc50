package eval

import "math"

// Difference is b minus a with the interval of the paired bootstrap: both are
// of the same rows in the same order, and a resample takes a row for both.
func Difference(a, b Statistic) Metric {
	if a.Rows != b.Rows {
		panic("bug: a paired difference of statistics over different rows")
	}
	return Statistic{b.Name, b.Rows, func(weight []int32) float64 { return b.Of(weight) - a.Of(weight) }}.Metric()
}

// McNemar is the two-sided exact probability that two equally good models
// differ as much as a and b do, in which rows each has right. References:
// McNemar, Psychometrika 12 (1947); exact by the binomial distribution.
func McNemar(a, b []bool) float64 {
	onlyA, onlyB := 0, 0
	for i := range a {
		switch {
		case a[i] && !b[i]:
			onlyA++
		case b[i] && !a[i]:
			onlyB++
		}
	}
	return min(1, 2*binomialTail(min(onlyA, onlyB), onlyA+onlyB))
}

// binomialTail is the probability of at most k heads in n fair throws, k ≤ n/2.
// It adds the terms from the last, which is the largest, down.
func binomialTail(k, n int) float64 {
	logFactorial := func(n int) float64 { f, _ := math.Lgamma(float64(n) + 1); return f }
	term := math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) - float64(n)*math.Ln2)
	sum := 0.0
	for i := k; i >= 0; i-- {
		sum += term
		term *= float64(i) / float64(n-i+1)
	}
	return sum
}
