package prune

import (
	"math"
	"math/bits"
	"slices"
)

// A dial is what goes in one place of the model in a fixed order: heads of an
// attention, neurons of a feed-forward block, tiles of a matrix. Turned to r,
// the first r have gone. What a method does is to make dials; how far each is
// turned says how much is pruned.
type dial struct {
	group
	kind   string // heads, neurons, ...: dials of a kind are alike
	layer  *sublayer
	remove func(rank int) // marks what goes rank-th, from 0
	loss   []float64      // [most+1], or nil: part of the outputs' variance lost when turned to r, the rest taking over what it can
}

// A group is a number of units of which some go.
type group struct {
	units int
	step  int     // so many go together
	most  int     // no more than that go
	pace  float64 // share of the units that goes for each share asked for
}

// some is a group whose units go one by one, all but the last.
func some(units int) group { return group{units, 1, units - 1, 1} }

// all is a group whose units go one by one, the last too.
func all(units int) group { return group{units, 1, units, 1} }

// A level is a share in steps of 1/levels.
type level uint16

const levels level = 1 << 15 // enough to tell apart the 16384 tiles of a 4096×1024 matrix

// at is how many units go at a level, the nearest number of steps to the
// share. Groups of the same size lose the same number.
func (g group) at(l level) int {
	share := min(1, float64(l)/float64(levels)*g.pace)
	steps := int(math.Floor(share*float64(g.units)/float64(g.step) + 0.5))
	return min(steps*g.step, g.most/g.step*g.step)
}

// ascending lists the numbers of the scores from the lowest score up, ties by
// number. Scores are not negative, so that their bits order them; the lowest
// bits make room for the number, beyond what a score is worth.
func ascending(scores []float64) []int {
	low := bits.Len(uint(len(scores)))
	keys := make([]uint64, len(scores))
	for i, s := range scores {
		keys[i] = math.Float64bits(s)>>low<<low | uint64(i)
	}
	slices.Sort(keys)
	units := make([]int, len(keys))
	for rank, key := range keys {
		units[rank] = int(key & (1<<low - 1))
	}
	return units
}
