package eval

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// A Statistic is a metric as a function of how often each row counts, which is
// all that resampling needs. Of may use scratch memory: one call at a time.
type Statistic struct {
	Name string
	Rows int
	Of   func(weight []int32) float64
}

// Value is the statistic of all rows, each once.
func (s Statistic) Value() float64 {
	once := make([]int32, s.Rows)
	for i := range once {
		once[i] = 1
	}
	return s.Of(once)
}

// Metric is the value with the interval that resampling the rows gives.
func (s Statistic) Metric() Metric {
	low, high := s.bootstrap()
	return Metric{s.Name, s.Value(), low, high}
}

const (
	resamples = 1000
	tail      = 0.025             // of a 95 % interval
	normal    = 1.959963984540054 // quantile of 1 − tail
	// bootstrapSeed is any constant: every run must draw the same resamples.
	bootstrapSeed = 1
)

// bootstrap is the percentile interval over resamples of as many rows, drawn
// with replacement. References: Efron and Tibshirani, An Introduction to the
// Bootstrap, section 13.3.
func (s Statistic) bootstrap() (low, high float64) {
	random := rand.NewPCG(bootstrapSeed, bootstrapSeed)
	weight := make([]int32, s.Rows)
	values := make([]float64, resamples)
	for i := range values {
		clear(weight)
		for range weight {
			// The high half of the product is a row, each as likely as the other
			// to one in 2⁶⁴/rows.
			row, _ := bits.Mul64(random.Uint64(), uint64(s.Rows))
			weight[row]++
		}
		values[i] = s.Of(weight)
	}
	slices.Sort(values)
	return quantile(values, tail), quantile(values, 1-tail)
}

// quantile interpolates between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	j := min(i+1, len(sorted)-1)
	part := at - float64(i)
	return sorted[i]*(1-part) + sorted[j]*part
}

// Wilson is the 95 % score interval of k right out of n. References: Wilson,
// Probable Inference, J. Am. Stat. Assoc. 22 (1927).
func Wilson(k, n int) (low, high float64) {
	const z = normal
	p, m := float64(k)/float64(n), float64(n)
	middle := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (middle-half)/scale), min(1, (middle+half)/scale)
}
