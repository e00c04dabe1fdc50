package kernel

import "math"

// A LogSumExp gathers the logits of one token over the blocks of a vocabulary,
// in ascending order: their largest, where it is, and the sum of
// 2^((x-most)·log₂e). The zero value has seen nothing. Its bits depend on the
// blocks, which the plan fixes.
type LogSumExp struct {
	Most float32
	At   int // index of the largest logit, the first of equal ones
	sum  float64
}

// Extend takes the logits x that follow those seen, the first with index first.
// A NaN among them makes the value NaN.
func (t *Table) Extend(s *LogSumExp, x []float32, first int) {
	before := s.Most
	if s.sum == 0 {
		before = float32(math.Inf(-1))
	}
	most, at := before, s.At
	for i, v := range x {
		if v > most {
			most, at = v, first+i
		}
	}
	var sum [lanes]float32
	shift := most * math.Log2E
	whole := len(x) / lanes * lanes
	t.sumExp2(x[:whole], math.Log2E, shift, &sum)
	if whole < len(x) {
		var tail [lanes]float32
		for i := copy(tail[:], x[whole:]); i < lanes; i++ {
			tail[i] = float32(math.Inf(-1))
		}
		t.sumExp2(tail[:], math.Log2E, shift, &sum)
	}
	if s.sum != 0 {
		s.sum *= math.Exp(float64(before) - float64(most))
	}
	s.sum += float64(foldSum(&sum))
	s.Most, s.At = most, at
}

// Value is log Σ e^x.
func (s *LogSumExp) Value() float64 { return float64(s.Most) + math.Log(s.sum) }
