package prune

import (
	"cmp"
	"math"
	"slices"
)

// lowest returns the numbers of the count lowest scores, ties by number, in
// ascending order of the numbers.
func lowest(scores []float64, count int) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[a], scores[b]), cmp.Compare(a, b))
	})
	order = order[:count]
	slices.Sort(order)
	return order
}

// portion is the nearest whole number to share·n that is a multiple of step,
// at most most.
func portion(share float64, n, step, most int) int {
	return min(int(math.Round(share*float64(n)/float64(step)))*step, most)
}

// each calls f for the numbers of the count lowest of n scores.
func each(n, count int, score func(i int) float64, f func(i int)) {
	scores := make([]float64, n)
	for i := range scores {
		scores[i] = score(i)
	}
	for _, i := range lowest(scores, count) {
		f(i)
	}
}
