package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A view is a Page with what the template needs worked out.
type view struct {
	*Page
	Curve  *curve // nil without a dense value to start from
	Layers *layers
}

func newView(p *Page) *view { return &view{p, newCurve(p), newLayers(p.Layers)} }

// Asked tells whether there is anything to reach.
func (v *Verdict) Asked() bool { return v.Speedup != nil || v.Drop != nil }

// Reached tells whether all that was asked is.
func (v *Verdict) Reached() bool {
	return (v.Speedup == nil || v.Speedup.Reached) && (v.Drop == nil || v.Drop.Reached)
}

// HasPredicted tells whether a column for it is wanted.
func (v *Verdict) HasPredicted() bool {
	return slices.ContainsFunc(v.Shapes, func(s Shape) bool { return s.Predicted != nil })
}

// HasMeasured tells whether a column for it is wanted.
func (v *Verdict) HasMeasured() bool {
	return slices.ContainsFunc(v.Shapes, func(s Shape) bool { return s.Measured != nil })
}

// HasP tells whether a column for it is wanted.
func (v *Verdict) HasP() bool {
	return slices.ContainsFunc(v.Judged, func(j Judgement) bool { return j.P != nil })
}

// scale is what values are multiplied by to be shown.
func (m *Metric) scale() float64 {
	if m.LowerIsBetter {
		return 1
	}
	return 100
}

// Show writes a value of the metric.
func (m *Metric) Show(x float64) string { return strconv.FormatFloat(m.scale()*x, 'f', 2, 64) }

// Title names the metric and what it is shown in.
func (m *Metric) Title() string {
	if m.LowerIsBetter {
		return m.Name
	}
	return m.Name + " × 100"
}

// Unit is that of a drop.
func (m *Metric) Unit() string {
	if m.LowerIsBetter {
		return "percent"
	}
	return "points"
}

// times writes a ratio of times: 1.52×.
func times(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "×" }

// percent writes a share: 37.5 %.
func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }

// short writes a number of any size in three digits.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

// signed writes a drop with two digits; the minus is a real one.
func signed(x float64) string {
	s := fmt.Sprintf("%.2f", math.Abs(x))
	if x < 0 && s != "0.00" {
		s = "−" + s
	}
	return s
}
