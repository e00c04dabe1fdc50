package prune

import (
	"slices"

	"etc/prune/linalg"
)

// What sums of matrices and lists of numbers the formulas need. Products are
// rounded before they are added, so that no machine fuses them.

func transposed(m linalg.Matrix) linalg.Matrix {
	t := linalg.New(m.Cols, m.Rows)
	for i := range m.Rows {
		for j, x := range m.Row(i) {
			t.Set(j, i, x)
		}
	}
	return t
}

// dot is the sum of the products of the entries of a and b, tr(a·bᵀ).
func dot(a, b linalg.Matrix) float64 {
	sum := 0.0
	for i := range a.Rows {
		y := b.Row(i)
		for j, x := range a.Row(i) {
			sum += float64(x * y[j])
		}
	}
	return sum
}

func trace(m linalg.Matrix) float64 {
	sum := 0.0
	for j := range m.Rows {
		sum += m.At(j, j)
	}
	return sum
}

// square is the sum of squares.
func square(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v * v)
	}
	return sum
}

// span is n numbers from first on.
func span(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}

// without is the numbers below n that are not in gone, which ascends.
func without(n int, gone []int) []int {
	stay := make([]int, 0, n-len(gone))
	for i := range n {
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
			continue
		}
		stay = append(stay, i)
	}
	return stay
}

func sorted(list []int) []int {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
