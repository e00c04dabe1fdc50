package prune

import (
	"context"
	"fmt"
	"slices"
)

// A sublayer's share of what goes is told in eighths of the even one, up to
// twice that. Its damage is measured at some, and interpolated in between.
const (
	spreadStep = 8
	spreadMost = 2 * spreadStep
)

var spreadMeasured = []int{4, 8, 12, 16}

// atSparsity finds the model of least damage with that share of zeros: all
// dials turned evenly, or those of sublayers by what each loses end to end.
func (q *Quest) atSparsity(ctx context.Context) (*Found, error) {
	even, err := q.edit.evenly(q.Sparsity)
	if err != nil {
		return nil, err
	}
	list := []*Candidate{{Name: "evenly", setting: q.edit.at(even)}}
	if q.Damage != nil {
		q.menus = q.edit.spreads(even)
		if err := q.measureSpreads(ctx); err != nil {
			return nil, err
		}
		for _, a := range q.overDamage([]float64{0}) {
			if c := a.choose(1 / (1 - q.Sparsity)); c != nil {
				list = append(list, &Candidate{Name: a.name, setting: q.edit.setting(q.menus, c)})
			}
		}
	}
	for i, c := range list {
		c.edit = q.edit
		if list[i], err = q.known(ctx, fmt.Sprint(c.setting), c); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, byDamage)
	ranked, err := q.settle(ctx, list[:1])
	if err != nil {
		return nil, err
	}
	best := ranked[0]
	best.Outcome = "chosen"
	return &Found{Graph: best.graph, Recipe: best.recipe, Candidate: best}, nil
}

// spreads are the options of all sublayers: their dials turned to parts of a
// level. What an option takes is the entries that it keeps.
func (e *Edit) spreads(even level) []menu {
	all := make([]menu, len(e.layers))
	for i, l := range e.layers {
		all[i].layer = l
	}
	for step := range spreadMost + 1 {
		setting := e.at(level(min(int(levels), int(even)*step/spreadStep)))
		zeros := e.zerosOf(setting)
		for i, l := range e.layers {
			o := option{turned: map[int]int{}, times: []float64{0}}
			for at, d := range e.dials {
				if d.layer == l {
					o.turned[at] = setting[at]
				}
			}
			for _, m := range l.matrices() {
				o.times[0] += float64(m.n*m.k - zeros[m])
			}
			all[i].options = append(all[i].options, o)
		}
	}
	return all
}

// measureSpreads prunes one sublayer at a time, as measureDamage does.
func (q *Quest) measureSpreads(ctx context.Context) error {
	for i, m := range q.menus {
		points := []point{{0, 0}}
		for j, step := range spreadMeasured {
			q.tell("measuring sublayers", i*len(spreadMeasured)+j, len(q.menus)*len(spreadMeasured))
			c := &Candidate{edit: q.edit, setting: q.edit.setting(q.menus[i:i+1], choice{step})}
			if err := q.look(ctx, c); err != nil {
				return err
			}
			points = append(points, point{float64(step), c.Damage})
		}
		for step := range m.options {
			m.options[step].damage = between(points, float64(step))
		}
	}
	return nil
}
