package eval

import (
	"math"
	"strconv"
	"strings"

	"etc/fault"
)

// A Drop is the loss that --max-drop allows in the primary metric.
type Drop struct {
	Percent  float64
	Relative bool // of the dense value, not points of metric×100
}

// ParseDrop reads 1% (one point of metric×100; for perplexity one percent of
// it) or 1%r (one percent of the dense value, whatever the metric).
func ParseDrop(s string) (Drop, error) {
	number, relative := strings.CutSuffix(s, "r")
	number, percent := strings.CutSuffix(number, "%")
	value, err := strconv.ParseFloat(number, 64)
	digits := strings.Trim(number, "0123456789.") == ""
	const most = 100
	if err != nil || !percent || !digits || value > most {
		return Drop{}, fault.Newf(fault.Usage, "max drop %q, want a percentage from 0%% to 100%%, as in 1%%, 0.5%% or 1%%r", s)
	}
	return Drop{value, relative}, nil
}

func (d Drop) String() string {
	s := strconv.FormatFloat(d.Percent, 'f', -1, 64) + "%"
	if d.Relative {
		s += "r"
	}
	return s
}

// Allows tells whether pruned is no worse than dense by more than d. Both are
// the same metric. Exactly d is allowed.
func (d Drop) Allows(dense, pruned Metric) bool {
	allowed := d.Percent / 100
	if d.Relative || dense.LowerIsBetter() {
		allowed *= math.Abs(dense.Value)
	}
	loss := dense.Value - pruned.Value
	if dense.LowerIsBetter() {
		loss = -loss
	}
	// 0.80 − 0.79 is more than 0.01 in float64. No number of rows makes a
	// difference as small as this.
	const rounding = 1e-12
	return loss <= allowed+rounding*max(1, math.Abs(dense.Value))
}
