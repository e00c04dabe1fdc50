package report

import (
	"fmt"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		about     int
		want      string
	}{
		{0.94, 3.2, 8, "1.0 1.5 2.0 2.5 3.0"},
		{83, 94, 6, "84 86 88 90 92 94"},
		{0.999, 1.0011, 5, "0.9990 0.9995 1.0000 1.0005 1.0010"},
		{-0.5, 0.5, 4, "-0.5 0.0 0.5"},
		{95, 5000, 5, "1000 2000 3000 4000 5000"},
	} {
		a := axis{c.low, c.high, 0, 100}
		var labels []string
		for _, k := range a.ticks(c.about) {
			labels = append(labels, k.Label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%g to %g: %s, want %s", c.low, c.high, got, c.want)
		}
	}
	if got := (&axis{10, 20, 300, 100}).at(12.5); got != 250 {
		t.Errorf("a quarter of the way down from 300 to 100 is %g", got)
	}
}

// Every mark of a full drawing lies in it, values in their order, and what
// collapsed at the edge, without pulling the axis to it.
func TestMarksAreInTheDrawing(t *testing.T) {
	c := newCurve(realistic())
	count := map[string]int{}
	var chosen, dense mark
	for _, m := range c.Points {
		count[m.Class]++
		var x, y float64
		fmt.Sscan(m.X, &x)
		fmt.Sscan(m.Y, &y)
		if x < plotLeft || x > plotRight || y < plotTop || y > plotBottom && m.Class != "not-judged" {
			t.Errorf("%s is at %s, %s", m.Title, m.X, m.Y)
		}
		if collapsed := strings.Contains(m.Title, "all FFN") || m.Class == "early-stop"; m.Off != collapsed || collapsed && y != plotBottom {
			t.Errorf("%s: off %v at %s", m.Title, m.Off, m.Y)
		}
		switch m.Class {
		case "chosen":
			chosen = m
		case "dense":
			dense = m
		}
	}
	if got := fmt.Sprint(count); got != "map[chosen:1 dense:1 early-stop:1 inside:7 not-judged:6 outside:6]" {
		t.Error(got)
	}
	if c.Points[len(c.Points)-1].Class != "chosen" {
		t.Error("what was chosen is not drawn last")
	}
	var denseY, chosenY, allowedY, denseX, askedX, chosenX float64
	for _, n := range []struct {
		text string
		to   *float64
	}{{dense.Y, &denseY}, {chosen.Y, &chosenY}, {c.Allowed.At, &allowedY}, {dense.X, &denseX}, {c.Asked.At, &askedX}, {chosen.X, &chosenX}} {
		fmt.Sscan(n.text, n.to)
	}
	if !(denseY < chosenY && chosenY < allowedY && allowedY < plotBottom && denseX < askedX && askedX < chosenX) {
		t.Errorf("dense %g, %g; chosen %g, %g; allowed %g; asked %g", denseX, denseY, chosenX, chosenY, allowedY, askedX)
	}
}

// The line goes by speed through the best of each rung, whatever the order of
// trial, and not through what was judged in part or collapsed.
func TestPath(t *testing.T) {
	p := &Page{Metric: Metric{Dense: &Value{0.9, 0.9, 0.9}, Allowed: pointer(0.89)}}
	value := func(x float64) *Value { return &Value{x, x, x} }
	p.Candidates = []Candidate{
		{Rung: 2, Speedup: 2, Metric: value(0.88), Outcome: Outside},
		{Rung: 1, Speedup: 1.5, Metric: value(0.895), Outcome: Chosen},
		{Rung: 2, Speedup: 2.1, Metric: value(0.885), Outcome: Outside},
		{Rung: 1, Speedup: 1.6, Outcome: NotJudged},
		{Rung: 3, Speedup: 2.5, Metric: value(0.87), Outcome: EarlyStop},
		{Rung: 4, Speedup: 3, Metric: value(0.5), Outcome: Outside},
	}
	got := path(p, &axis{0, 10, 0, 10}, &axis{0, 100, 0, 1000})
	if want := "M1.0 900.0 L1.5 895.0 L2.1 885.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.Metric.LowerIsBetter = true
	p.Metric.Allowed = pointer(0.95)
	got = path(p, &axis{0, 10, 0, 10}, &axis{0, 1, 0, 1000})
	if want := "M1.0 900.0 L1.5 895.0 L2.0 880.0 L3.0 500.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
