package eval

import (
	"math"

	"etc/fault"
)

// A Comparison is what a pruned model loses against the dense one on the same
// rows. Drop, Low and High are points of metric×100, for perplexity percent of
// the dense value; above zero is worse, whichever way the metric improves.
type Comparison struct {
	Metric string   `json:"metric"`
	Dense  float64  `json:"dense"`
	Pruned float64  `json:"pruned"`
	Drop   float64  `json:"drop"`
	Low    float64  `json:"low"`         // 95 % interval of Drop by the paired
	High   float64  `json:"high"`        // bootstrap: a resample takes a row for both
	P      *float64 `json:"p,omitempty"` // McNemar's, of a classification with labels
	Rows   int      `json:"rows"`
}

// Compare pairs the answers of two models to the same rows in the same order.
// Rows on which nothing differs give an interval of zero width. Reports of
// different metrics or numbers of rows are fault.Corrupt. One call at a time
// for a Report: its metrics share scratch memory.
func Compare(dense, pruned *Report) (*Comparison, error) {
	d, p := dense.Primary(), pruned.Primary()
	if d.Name != p.Name || dense.Rows != pruned.Rows {
		return nil, fault.Newf(fault.Corrupt, "%s of %d rows against %s of %d, want the same metric of the same rows", p.Name, pruned.Rows, d.Name, dense.Rows)
	}
	return comparePrefix(dense, pruned, dense.Rows)
}

// ComparePrefix is Compare on the rows of soFar, which are the first of
// dense's: for who judges no further, as after Hopeless.
func ComparePrefix(dense, soFar *Report) (*Comparison, error) {
	return comparePrefix(dense, soFar, soFar.Rows)
}

// comparePrefix compares on the first rows of both.
func comparePrefix(dense, pruned *Report, rows int) (*Comparison, error) {
	if rows > dense.Rows || rows > pruned.Rows {
		return nil, fault.Newf(fault.Corrupt, "%d rows of the dense model and %d of the pruned one, want %d of both", dense.Rows, pruned.Rows, rows)
	}
	if dense.first == nil || pruned.first == nil {
		return nil, fault.Newf(fault.Corrupt, "a report without the answers of its rows, want one made by this program")
	}
	d, p := dense.first(rows), pruned.first(rows)
	if d.Rows != p.Rows {
		return nil, fault.Newf(fault.Corrupt, "%d rows of the dense model and %d of the pruned one count, want the same rows", d.Rows, p.Rows)
	}
	drop := dropOf(d, p)
	c := &Comparison{Metric: d.Name, Dense: d.Value(), Pruned: p.Value(), Drop: drop.Value, Low: drop.Low, High: drop.High, Rows: rows}
	if dense.right != nil && pruned.right != nil {
		probability := McNemar(dense.right[:rows], pruned.right[:rows])
		c.P = &probability
	}
	return c, nil
}

// dropOf is the loss from dense to pruned in the unit of a Comparison.
func dropOf(dense, pruned Statistic) Metric {
	if (Metric{Name: dense.Name}).LowerIsBetter() {
		return relativeRise(dense, pruned)
	}
	d := Difference(pruned, dense)
	return Metric{d.Name, 100 * d.Value, 100 * d.Low, 100 * d.High}
}

// relativeRise is by how many percent b is above a, paired as in Difference.
func relativeRise(a, b Statistic) Metric {
	return Statistic{b.Name, b.Rows, func(weight []int32) float64 {
		return min(100*(b.Of(weight)/a.Of(weight)-1), math.MaxFloat64)
	}}.Metric()
}

// Points is what d allows a model with that dense value to lose, in the unit
// of a Comparison.
func (d Drop) Points(dense Metric) float64 {
	if d.Relative && !dense.LowerIsBetter() {
		return d.Percent * math.Abs(dense.Value)
	}
	return d.Percent
}
