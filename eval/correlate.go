package eval

import (
	"cmp"
	"math"
	"slices"
)

// Pearson is the linear correlation of two equally long vectors, 0 where one
// of them is constant: it predicts nothing.
func Pearson(x, y []float64) Statistic {
	return Statistic{NamePearson, len(y), func(weight []int32) float64 { return pearson(x, y, weight) }}
}

// Spearman is the Pearson correlation of ranks; ties share the mean of theirs.
func Spearman(x, y []float64) Statistic {
	rankX, rankY := newRanking(x), newRanking(y)
	return Statistic{NameSpearman, len(y), func(weight []int32) float64 {
		return pearson(rankX.of(weight), rankY.of(weight), weight)
	}}
}

func pearson(x, y []float64, weight []int32) float64 {
	var n, meanX, meanY float64
	for i, w := range weight {
		n += float64(w)
		meanX += float64(w) * x[i]
		meanY += float64(w) * y[i]
	}
	meanX /= n
	meanY /= n
	var xx, yy, xy float64
	for i, w := range weight {
		dx, dy := x[i]-meanX, y[i]-meanY
		xx += float64(w) * dx * dx
		yy += float64(w) * dy * dy
		xy += float64(w) * dx * dy
	}
	if !varies(x, weight) || !varies(y, weight) || xx == 0 || yy == 0 {
		return 0
	}
	return max(-1, min(1, xy/(math.Sqrt(xx)*math.Sqrt(yy))))
}

// varies tells whether the rows that count differ. Rounding of the mean can
// make the variance of equal numbers a little more than zero.
func varies(x []float64, weight []int32) bool {
	first := slices.IndexFunc(weight, func(w int32) bool { return w > 0 })
	for i, w := range weight {
		if w > 0 && x[i] != x[first] {
			return true
		}
	}
	return false
}

// A ranking sorts once, so that every resample is ranked in linear time.
type ranking struct {
	x     []float64
	order []int // rows by ascending x
	ranks []float64
}

func newRanking(x []float64) *ranking {
	r := &ranking{x: x, order: make([]int, len(x)), ranks: make([]float64, len(x))}
	for i := range r.order {
		r.order[i] = i
	}
	slices.SortFunc(r.order, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	return r
}

// of gives the ranks, from 1, of the rows with each counted weight times.
func (r *ranking) of(weight []int32) []float64 {
	below := 0.0
	for i := 0; i < len(r.order); {
		j, ties := i, 0.0
		for ; j < len(r.order) && r.x[r.order[j]] == r.x[r.order[i]]; j++ {
			ties += float64(weight[r.order[j]])
		}
		for ; i < j; i++ {
			r.ranks[r.order[i]] = below + (ties+1)/2
		}
		below += ties
	}
	return r.ranks
}

// Cosine is the cosine of the angle between a and b, 0 if one of them is zero.
func Cosine(a, b []float32) float64 {
	var aa, bb, ab float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		aa += x * x
		bb += y * y
		ab += x * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / (math.Sqrt(aa) * math.Sqrt(bb))
}
