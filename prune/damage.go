package prune

import (
	"context"
	"maps"
	"math"
	"slices"
)

// measured are the shares of a dial's units at which damage is measured; in
// between it is interpolated.
var measured = []float64{0.375, 0.625, 0.8125, 1}

// measureDamage prunes one sublayer at a time and looks at the outputs: what
// a sublayer loses end to end has little to do with what it loses by itself.
// Widths of heads are measured alone, and count on top of the heads'. Without
// the time for all of them, none counts.
func (q *Quest) measureDamage(ctx context.Context) error {
	if q.Damage == nil {
		return nil
	}
	points := make([]map[int][]point, len(q.menus))
	total, done := 0, 0
	type look struct {
		menu, dial, r int
	}
	var looks []look
	for i, m := range q.menus {
		points[i] = map[int][]point{}
		levels := map[int]map[int]bool{}
		for _, o := range m.options {
			for dial, r := range o.turned {
				if levels[dial] == nil {
					levels[dial] = map[int]bool{}
				}
				levels[dial][r] = true
			}
		}
		for _, dial := range slices.Sorted(maps.Keys(levels)) {
			points[i][dial] = []point{{0, 0}}
			for _, r := range q.sampled(dial, slices.Sorted(maps.Keys(levels[dial]))) {
				looks = append(looks, look{i, dial, r})
			}
		}
	}
	total = len(looks)
	for i, l := range looks {
		if q.stop(Step{stepSublayer, len(looks) - i + q.ahead(), false}) {
			return nil
		}
		q.tell("measuring sublayers", done, total)
		done++
		c := &Candidate{edit: q.edit, setting: make(Setting, len(q.edit.dials))}
		c.setting[l.dial] = l.r
		if err := q.look(ctx, c); err != nil {
			return err
		}
		points[l.menu][l.dial] = append(points[l.menu][l.dial], point{float64(l.r), c.Damage})
	}
	q.measured = true
	for i := range q.menus {
		for j := range q.menus[i].options {
			o := &q.menus[i].options[j]
			o.damage = 0
			for _, dial := range slices.Sorted(maps.Keys(o.turned)) { // in order: sums round
				o.damage += between(points[i][dial], float64(o.turned[dial]))
			}
		}
	}
	return nil
}

// ahead is about how many looks a search has before it when sublayers are measured.
func (q *Quest) ahead() int {
	looks := len(q.portfolio()) + len(q.overDamage(nil))
	if q.climbs() {
		looks *= bitsFor(q.ladder().rungs + 1)
	}
	return looks
}

// sampled are the levels nearest to the shares that are measured.
func (q *Quest) sampled(dial int, have []int) []int {
	var list []int
	for _, share := range measured {
		want := share * float64(q.edit.dials[dial].units)
		near := have[0]
		for _, r := range have {
			if math.Abs(float64(r)-want) < math.Abs(float64(near)-want) {
				near = r
			}
		}
		if near > 0 && !slices.Contains(list, near) {
			list = append(list, near)
		}
	}
	return list
}

// A point of a piecewise linear function.
type point struct{ x, y float64 }

// between interpolates; beyond the last point it is that one's value.
func between(points []point, x float64) float64 {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if x <= b.x {
			return a.y + (b.y-a.y)*(x-a.x)/(b.x-a.x)
		}
	}
	return points[len(points)-1].y
}
