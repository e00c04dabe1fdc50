package prune

import (
	"math"
	"math/bits"
	"slices"
)

// A level is a share of the units that a method knows, in steps of 1/levels.
// What has level l is zero wherever the share is l/levels or more.
type level uint16

const (
	levels level = 1 << 15 // enough to tell apart the 16384 tiles of a 4096×1024 matrix
	never  level = math.MaxUint16
)

// A group is a number of units of which some go, those of least score first.
// Groups of the same size lose the same number at each level.
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

// level is that of the unit which goes after rank others: the nearest number
// of steps to the share has gone at each level.
func (g group) level(rank int) level {
	if rank >= g.most {
		return never
	}
	steps := rank/g.step + 1
	share := (float64(steps) - 0.5) * float64(g.step) / float64(g.units) / g.pace
	if share > 1 {
		return never
	}
	return level(math.Ceil(share * float64(levels)))
}

// rank calls give with each unit and its level, lowest score first, ties by
// number. There is one score for each unit.
func (g group) rank(scores []float64, give func(unit int, l level)) {
	for rank, unit := range ascending(scores) {
		give(unit, g.level(rank))
	}
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
