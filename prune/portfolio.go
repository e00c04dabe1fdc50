package prune

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// rung is the candidates of a speed, those that do least damage first;
// polished, with switches between sublayers.
func (q *Quest) rung(ctx context.Context, wanted float64, polished bool) ([]*Candidate, error) {
	var list []*Candidate
	add := func(name string, c choice) error {
		if c == nil || len(list) > 0 && q.tried[fmt.Sprint(c)] == nil && q.stop(q.allocating()) {
			return nil
		}
		candidate, err := q.candidate(ctx, name, wanted, c)
		if candidate != nil && !slices.Contains(list, candidate) {
			list = append(list, candidate)
		}
		return err
	}
	for i, p := range q.portfolio() {
		q.tellTried(i)
		if err := add(p.name, p.choose(wanted)); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(list, byDamage)
	if q.measured && polished {
		if err := q.switches(list[0], wanted, add); err != nil {
			return nil, err
		}
		for _, s := range q.schemes {
			if q.stop(q.allocating()) {
				break
			}
			c, err := q.ofScheme(ctx, s, wanted)
			if err != nil {
				return nil, err
			}
			if c != nil {
				list = append(list, c)
			}
		}
		slices.SortStableFunc(list, byDamage)
	}
	return list, nil
}

func byDamage(a, b *Candidate) int {
	switch {
	case a.Damage < b.Damage:
		return -1
	case a.Damage > b.Damage:
		return 1
	}
	return 0
}

// An allocation is a way to spread what goes over the sublayers.
type allocation struct {
	name   string
	choose func(wanted float64) choice // nil: it is not to be had
}

// portfolio is the allocations that compete. None is best everywhere: what
// sublayers lose by themselves does not see what the layers above make of it,
// and what is lost end to end does not add up.
func (q *Quest) portfolio() []allocation {
	rest := q.Latency.Rest
	all := []allocation{
		{"uniform neurons", func(w float64) choice { return q.uniform(w, 0, false) }},
		{"uniform neurons and heads", func(w float64) choice { return q.uniform(w, headPace, false) }},
		{"uniform neurons, heads and widths", func(w float64) choice { return q.uniform(w, headPace, true) }},
		{"knapsack over local error", func(w float64) choice {
			return fitting(q.menus, rest, w, func(o *option) float64 { return o.local })
		}},
	}
	if q.measured {
		all = append(all, q.overDamage(rest)...)
	}
	return all
}

// overDamage are the allocations by what sublayers lose end to end.
func (q *Quest) overDamage(rest []float64) []allocation {
	return []allocation{
		{"knapsack over end-to-end damage", func(w float64) choice {
			return fitting(q.menus, rest, w, func(o *option) float64 { return o.damage })
		}},
		{"knapsack over damage, none large", func(w float64) choice {
			return fitting(q.menus, rest, w, func(o *option) float64 { return o.damage * o.damage })
		}},
	}
}

// uniform gives all layers the least share of neurons less, and of heads at a
// pace, that is fast enough. With narrow, scores are computed over half of the
// features wherever a menu has that.
func (q *Quest) uniform(wanted, pace float64, narrow bool) choice {
	rest := q.Latency.Rest
	const steps = 256
	for step := range steps + 1 {
		share := float64(step) / steps
		c := make(choice, len(q.menus))
		for i, m := range q.menus {
			c[i] = q.nearest(m, share, pace, narrow)
		}
		if speedup(q.menus, rest, c) >= wanted {
			return c
		}
	}
	return nil
}

// nearest is the option of a menu that is nearest to a share. Of attention,
// nothing goes where heads keep pace 0.
func (q *Quest) nearest(m menu, share, pace float64, narrow bool) int {
	kind := "neurons"
	if m.layer.attention != nil {
		kind, share = "heads", share*pace
	}
	at := q.edit.dialOf(m.layer, kind)
	best, off := 0, math.Inf(1)
	for j, o := range m.options {
		gone := float64(o.turned[at]) / float64(q.edit.dials[at].units)
		if gone == 1 || m.layer.attention != nil && q.narrows(m, o) != narrow {
			continue
		}
		if d := math.Abs(gone - share); d < off {
			best, off = j, d
		}
	}
	return best
}

// narrows tells whether an option has half of the features of scores and all
// of the values'.
func (q *Quest) narrows(m menu, o option) bool {
	d, dv := q.edit.dialOf(m.layer, "d"), q.edit.dialOf(m.layer, "dv")
	return o.turned[d] > 0 && o.turned[dv] == 0
}

// candidate is that of a choice, looked at once.
func (q *Quest) candidate(ctx context.Context, name string, wanted float64, c choice) (*Candidate, error) {
	return q.known(ctx, fmt.Sprint(c), &Candidate{Name: name, Wanted: wanted, choice: c, edit: q.edit, setting: q.edit.setting(q.menus, c), Speedups: speedups(q.menus, q.Latency.Rest, c)})
}

// known is the candidate under a key: made, looked at, or the one that was before.
func (q *Quest) known(ctx context.Context, key string, made *Candidate) (*Candidate, error) {
	if known := q.tried[key]; known != nil {
		return known, nil
	}
	if err := q.look(ctx, made); err != nil {
		return nil, err
	}
	made.forget()
	made.Outcome = "not judged"
	if q.Search == nil {
		q.prefer(made)
	}
	q.tried[key] = made
	q.Tried = append(q.Tried, made)
	return made, nil
}

// switchRounds and switchTries bound the local search at a rung.
const switchRounds, switchTries = 3, 4

// switches improves a candidate: one sublayer keeps more, another less, at the
// same speed. Pairs are tried in the order of what they promise by the damage
// measured for each sublayer alone; what helps is kept.
func (q *Quest) switches(from *Candidate, wanted float64, add func(name string, c choice) error) error {
	for round := range switchRounds {
		better := false
		for i, c := range q.neighbours(from, wanted, switchTries) {
			q.tellTried(len(q.portfolio()) + switchTries*round + i)
			name := "level switch"
			if err := add(name, c); err != nil {
				return err
			}
			k := q.tried[fmt.Sprint(c)]
			if k == nil {
				return nil // there is no time
			}
			if k.Damage < from.Damage {
				from, better = k, true
				break
			}
		}
		if !better {
			return nil
		}
	}
	return nil
}

// comparing is the stage of the candidates of a rung and switches.
func (q *Quest) comparing() progress {
	return progress{"comparing allocations", 0, len(q.portfolio()) + switchRounds*switchTries}
}

// neighbours are the most promising switches that keep the speed.
func (q *Quest) neighbours(from *Candidate, wanted float64, most int) []choice {
	type move struct {
		c    choice
		gain float64
	}
	var all []move
	rest := q.Latency.Rest
	for i, up := range q.menus {
		for j := range up.options {
			gain := up.options[from.choice[i]].damage - up.options[j].damage
			if gain <= 0 {
				continue
			}
			for k, down := range q.menus {
				if k == i {
					continue
				}
				for l := range down.options {
					loss := down.options[l].damage - down.options[from.choice[k]].damage
					if loss < 0 || loss >= gain {
						continue
					}
					c := slices.Clone(from.choice)
					c[i], c[k] = j, l
					if speedup(q.menus, rest, c) >= wanted {
						all = append(all, move{c, gain - loss})
					}
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b move) int {
		switch {
		case a.gain > b.gain:
			return -1
		case a.gain < b.gain:
			return 1
		}
		return 0
	})
	var list []choice
	for _, m := range all[:min(most, len(all))] {
		list = append(list, m.c)
	}
	return list
}
