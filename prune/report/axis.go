package report

import (
	"math"
	"strconv"
)

// An axis maps the numbers from low to high onto pixels.
type axis struct {
	low, high  float64
	start, end float64 // pixels of low and high; y axes run upwards
}

func (a *axis) at(x float64) float64 {
	return a.start + (x-a.low)/(a.high-a.low)*(a.end-a.start)
}

// A tick is a labelled place of an axis.
type tick struct{ At, Label string }

// ticks are about so many round numbers: 1, 2 or 5 times a power of ten apart.
func (a *axis) ticks(about int) []tick {
	step := roundStep((a.high - a.low) / float64(about))
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var all []tick
	for i := math.Ceil(a.low/step - 1e-9); i*step <= a.high+step*1e-9; i++ {
		label := strconv.FormatFloat(i*step+0, 'f', decimals, 64)
		all = append(all, tick{coordinate(a.at(i * step)), label})
	}
	return all
}

// roundStep is the smallest of 1, 2 and 5 times a power of ten that is at
// least step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// spread widens low to high by a margin on both sides, and to at least that
// span, so that no axis is empty.
func spread(low, high, least float64) (float64, float64) {
	if span := high - low; span < least {
		low -= (least - span) / 2
		high += (least - span) / 2
	}
	margin := 0.06 * (high - low)
	return low - margin, high + margin
}

// coordinate writes pixels: a tenth of one is finer than the eye.
func coordinate(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }
