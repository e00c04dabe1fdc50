package main

import (
	"slices"
	"testing"

	"etc/prune"
)

// TestRungsOfCandidates: those made for one speed share a rung, the slowest is
// the first; where no speed was wanted each has its own.
func TestRungsOfCandidates(t *testing.T) {
	for _, c := range []struct {
		wanted []float64
		rungs  []int
	}{
		{[]float64{2, 1.5, 2, 3, 1.5}, []int{2, 1, 2, 3, 1}},
		{[]float64{0, 0, 0}, []int{1, 2, 3}},
	} {
		var list []*prune.Candidate
		for _, w := range c.wanted {
			list = append(list, &prune.Candidate{Wanted: w})
		}
		if got := rungsOf(list); !slices.Equal(got, c.rungs) {
			t.Errorf("wanted %v: rungs %v, want %v", c.wanted, got, c.rungs)
		}
	}
}
