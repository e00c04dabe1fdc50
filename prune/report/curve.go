package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The drawing, in pixels of its viewBox.
const (
	curveWidth  = 760.0
	curveHeight = 400.0
	plotLeft    = 88.0
	plotRight   = 744.0
	plotTop     = 28.0
	plotBottom  = 306.0
	stripAt     = 326.0 // where candidates stand that have no metric
)

// curve is the drawing of metric over speed-up.
type curve struct {
	Width, Height            string
	Left, Right, Top, Bottom string
	MiddleX, MiddleY         string // of the frame
	Strip                    string // "" where every candidate was judged
	Desc                     string
	X, Y                     []tick
	Path                     string // through the dense model and the best of each rung
	Points                   []mark
	Allowed, Asked           *rule
}

// A mark is a candidate, or the dense model, in the drawing.
type mark struct {
	Class       string // dense, chosen, inside, outside, early-stop, not-judged
	X, Y        string
	Low, High   string // ends of its interval, "" without one
	Left, Right string // of the caps of the interval
	Off         bool   // beyond the drawing: Y is its edge
	Label       string // beside it, "" for most
	LabelX      string
	LabelEnds   bool // Label ends at LabelX instead of starting there
	Title       string
}

// A rule is a line across the drawing.
type rule struct{ At, Label string }

// newCurve is nil without a dense value: nothing can be told from points alone.
func newCurve(p *Page) *curve {
	if p.Metric.Dense == nil {
		return nil
	}
	x, y := speedupAxis(p), metricAxis(p)
	c := &curve{
		Width: coordinate(curveWidth), Height: coordinate(curveHeight),
		Left: coordinate(plotLeft), Right: coordinate(plotRight), Top: coordinate(plotTop), Bottom: coordinate(plotBottom),
		MiddleX: coordinate((plotLeft + plotRight) / 2), MiddleY: coordinate((plotTop + plotBottom) / 2),
		Desc: describe(p), X: x.ticks(8), Y: y.ticks(6), Path: path(p, x, y),
	}
	for i := range p.Candidates {
		m := candidateMark(p, &p.Candidates[i], x, y)
		if p.Candidates[i].Metric == nil {
			c.Strip = coordinate(stripAt)
		}
		c.Points = append(c.Points, m)
	}
	c.Points = append(c.Points, denseMark(p, x, y))
	// What matters is drawn last, above the rest.
	slices.SortStableFunc(c.Points, func(a, b mark) int { return drawingOrder[a.Class] - drawingOrder[b.Class] })
	if a := p.Metric.Allowed; a != nil {
		c.Allowed = &rule{coordinate(y.at(p.Metric.scale() * *a)), "allowed " + p.Metric.Show(*a)}
	}
	if g := p.Verdict.Speedup; g != nil {
		if asked, ok := askedSpeedup(p); ok {
			c.Asked = &rule{coordinate(x.at(asked)), "asked " + g.Asked + "×"}
		}
	}
	return c
}

var drawingOrder = map[string]int{class(NotJudged): 0, class(EarlyStop): 1, class(Outside): 2, class(Inside): 3, "dense": 4, class(Chosen): 5}

func class(o Outcome) string { return strings.ReplaceAll(string(o), " ", "-") }

// askedSpeedup is the number in the goal.
func askedSpeedup(p *Page) (asked float64, ok bool) {
	if p.Verdict.Speedup == nil {
		return 0, false
	}
	_, err := fmt.Sscanf(p.Verdict.Speedup.Asked, "%g", &asked)
	return asked, err == nil && asked > 0 && !math.IsInf(asked, 0)
}

func speedupAxis(p *Page) *axis {
	low, high := 1.0, 1.0
	if asked, ok := askedSpeedup(p); ok {
		high = max(high, asked)
	}
	for _, c := range p.Candidates {
		low, high = min(low, c.Speedup), max(high, c.Speedup)
	}
	const least = 0.2
	low, high = spread(low, high, least)
	return &axis{low, high, plotLeft, plotRight}
}

// metricAxis holds the dense value, what is allowed, and the candidates that
// lose no more than a few times that: a collapse would flatten all the rest.
func metricAxis(p *Page) *axis {
	m := &p.Metric
	low, high := m.Dense.Low, m.Dense.High
	if m.Allowed != nil {
		low, high = min(low, *m.Allowed), max(high, *m.Allowed)
	}
	for _, c := range p.Candidates {
		if c.Metric != nil && !m.collapsed(c.Metric.Value) {
			low, high = min(low, c.Metric.Low), max(high, c.Metric.High)
		}
	}
	const leastShare = 0.01 // of the dense value, where all values are nearly the same
	low, high = spread(low, high, max(leastShare*math.Abs(m.Dense.Value), 1e-6))
	return &axis{m.scale() * low, m.scale() * high, plotBottom, plotTop}
}

// collapsed tells whether value is too far off to be drawn to scale.
func (m *Metric) collapsed(value float64) bool {
	const (
		drops = 8    // times the drop allowed
		share = 0.05 // of the dense value at least, however little is allowed
	)
	if m.Allowed == nil {
		return false
	}
	far := max(drops*math.Abs(m.Dense.Value-*m.Allowed), share*math.Abs(m.Dense.Value))
	if m.LowerIsBetter {
		return value > m.Dense.Value+far
	}
	return value < m.Dense.Value-far
}

// place puts a value on the axis; off says that it lies beyond an end, and
// stands there.
func (a *axis) place(x float64) (at float64, off bool) {
	inside := max(a.low, min(a.high, x))
	return a.at(inside), inside != x
}

func denseMark(p *Page, x, y *axis) mark {
	v := p.Metric.Dense
	m := mark{Class: "dense", X: coordinate(x.at(1)), Title: fmt.Sprintf("dense: %s, %s to %s", p.Metric.Show(v.Value), p.Metric.Show(v.Low), p.Metric.Show(v.High))}
	m.setValue(v, &p.Metric, x.at(1), y)
	m.Label, m.LabelX = "dense", coordinate(x.at(1)+labelGap)
	return m
}

const (
	labelGap = 10.0
	halfCap  = 3.0
)

func candidateMark(p *Page, c *Candidate, x, y *axis) mark {
	at := x.at(c.Speedup)
	m := mark{Class: class(c.Outcome), X: coordinate(at), Title: fmt.Sprintf("%s, rung %d: %s, %s", c.Name, c.Rung, times(c.Speedup), c.Outcome)}
	if c.Metric == nil {
		m.Y = coordinate(stripAt)
		return m
	}
	m.Title += fmt.Sprintf(", %s, %s to %s", p.Metric.Show(c.Metric.Value), p.Metric.Show(c.Metric.Low), p.Metric.Show(c.Metric.High))
	m.setValue(c.Metric, &p.Metric, at, y)
	if c.Outcome == Chosen {
		m.Label, m.LabelX = "chosen "+times(c.Speedup), coordinate(at+labelGap)
		const room = 110
		if at > plotRight-room {
			m.LabelX, m.LabelEnds = coordinate(at-labelGap), true
		}
	}
	return m
}

// setValue places the mark and its interval, cut at the edges of the drawing.
func (m *mark) setValue(v *Value, metric *Metric, x float64, y *axis) {
	at, off := y.place(metric.scale() * v.Value)
	m.Y, m.Off = coordinate(at), off
	if off {
		return
	}
	low, _ := y.place(metric.scale() * v.Low)
	high, _ := y.place(metric.scale() * v.High)
	m.Low, m.High = coordinate(low), coordinate(high)
	m.Left, m.Right = coordinate(x-halfCap), coordinate(x+halfCap)
}

// path joins the dense model and, by speed, the best candidate of each rung that
// was judged by all rows of the search half. It leaves out what collapsed.
func path(p *Page, x, y *axis) string {
	best := map[int]*Candidate{}
	for i := range p.Candidates {
		c := &p.Candidates[i]
		if c.Metric == nil || c.Outcome == EarlyStop {
			continue
		}
		if b := best[c.Rung]; b == nil || better(&p.Metric, c.Metric.Value, b.Metric.Value) {
			best[c.Rung] = c
		}
	}
	type point struct{ speedup, value float64 }
	points := []point{{1, p.Metric.Dense.Value}}
	for i := range p.Candidates {
		if c := &p.Candidates[i]; best[c.Rung] == c && !p.Metric.collapsed(c.Metric.Value) {
			points = append(points, point{c.Speedup, c.Metric.Value})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.speedup, b.speedup) })
	var b strings.Builder
	for i, q := range points {
		command := " L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", command, coordinate(x.at(q.speedup)), coordinate(y.at(p.Metric.scale()*q.value)))
	}
	return b.String()
}

func better(m *Metric, a, b float64) bool { return m.LowerIsBetter == (a < b) && a != b }

// describe says in words what the drawing shows.
func describe(p *Page) string {
	judged := 0
	s := ""
	for i := range p.Candidates {
		c := &p.Candidates[i]
		if c.Metric == nil {
			continue
		}
		judged++
		if c.Outcome == Chosen {
			s = fmt.Sprintf(" Chosen is %s at %s with %s.", c.Name, times(c.Speedup), p.Metric.Show(c.Metric.Value))
		}
	}
	head := fmt.Sprintf("%s over predicted speed-up: the dense model has %s at 1.00×; %d of %d candidates were judged.", p.Metric.Title(), p.Metric.Show(p.Metric.Dense.Value), judged, len(p.Candidates))
	if p.Metric.Allowed != nil {
		head += " Allowed is " + p.Metric.Show(*p.Metric.Allowed) + "."
	}
	return head + s
}
