package prune

import (
	"math"
	"slices"

	"etc/ir/sparse"
	"etc/prune/latency"
)

// An option is one way to prune a sublayer.
type option struct {
	turned map[int]int // by number of dial; those that are missing stay at 0
	times  []float64   // by shape
	local  float64     // part of the variance of its outputs that is lost
	damage float64     // end to end, once it is measured or estimated
}

// A menu is the options of a sublayer, the dense one first.
type menu struct {
	layer   *sublayer
	options []option
}

// searched makes the dials of a search: heads, widths of heads, neurons.
var searched = structure{"structured", "", "obs", func(e *Edit) {
	e.removeNeurons()
	e.removeHeads(headPace)
	e.narrowScores()
	e.narrowValues()
}}

// widthStep is the granularity of FFN widths in a search, in parts of the
// dense width.
const widthStep = 16

// menus are the options of all sublayers: whole heads, each with heads of full
// and narrower features, and widths of feed-forward blocks. None takes longer than what
// was left before, which the first is.
func (e *Edit) menus(t *latency.Table) []menu {
	var all []menu
	for i, l := range e.layers {
		m := menu{layer: l}
		if l.ffn != nil {
			m.options = e.widthOptions(l, t)
		} else {
			m.options = e.headOptions(l, t)
		}
		for j := range m.options {
			m.options[j].times = e.placed(i, m.options[j].times, t)
		}
		m.options = worthwhile(m.options)
		all = append(all, m)
	}
	return all
}

// placed are the times of sublayer i of the model, where it takes us in the
// middle: of the last layer, a head may want one token only.
func (e *Edit) placed(i int, us []float64, t *latency.Table) []float64 {
	switch {
	case i < len(e.layers)-2:
		return us
	case e.layers[i].attention != nil:
		return t.LastAttention(us)
	}
	return t.LastFFN(us)
}

// dialOf is the number of the dial of a kind in a sublayer.
func (e *Edit) dialOf(l *sublayer, kind string) int {
	return slices.IndexFunc(e.dials, func(d *dial) bool { return d.layer == l && d.kind == kind })
}

func (e *Edit) widthOptions(l *sublayer, t *latency.Table) []option {
	at := e.dialOf(l, "neurons")
	d := e.dials[at]
	var all []option
	for step := widthStep; step >= 0; step-- {
		width := (d.units*step/widthStep + neuronStep - 1) / neuronStep * neuronStep
		width = min(width, d.units)
		gone := d.units - width
		if gone > d.most && step > 0 {
			continue
		}
		took := t.FFNTime(min(width, (d.units-l.ffn.before+neuronStep-1)/neuronStep*neuronStep))
		all = append(all, option{map[int]int{at: gone}, took, d.loss[gone], 0})
	}
	return all
}

func (e *Edit) headOptions(l *sublayer, t *latency.Table) []option {
	heads, scores, values := e.dialOf(l, "heads"), e.dialOf(l, "d"), e.dialOf(l, "dv")
	a := l.attention
	var all []option
	for gone := range a.heads + 1 {
		for _, d := range narrower(a.d) {
			for _, dv := range narrower(a.dv) {
				if gone == a.heads && (d != a.d || dv != a.dv) {
					continue
				}
				turned := map[int]int{heads: gone, scores: a.d - d, values: a.dv - dv}
				local := 1.0
				for _, dial := range []int{heads, scores, values} { // in this order: products round
					local *= 1 - e.dials[dial].loss[turned[dial]]
				}
				took := t.AttentionTime(a.heads-max(gone, a.before.heads), min(d, a.d-a.before.d), min(dv, a.dv-a.before.dv))
				all = append(all, option{turned, took, 1 - local, 0})
			}
		}
	}
	return all
}

// narrower are widths of heads that kernels gain by: multiples of a tile, down
// to half of the dense one.
func narrower(d int) []int {
	all := []int{d}
	for w := (d - 1) / sparse.Tile * sparse.Tile; w >= (d+1)/2 && w > 0; w -= sparse.Tile {
		all = append(all, w)
	}
	return all
}

// worthwhile leaves out options that another beats: one that loses no more and
// takes no longer at any shape. The first stays.
func worthwhile(all []option) []option {
	kept := all[:1:1]
	for i, o := range all[1:] {
		beaten := slices.ContainsFunc(slices.Concat(all[:i+1], all[i+2:]), func(by option) bool {
			return by.local <= o.local && noLonger(by.times, o.times) && (by.local < o.local || !slices.Equal(by.times, o.times))
		})
		if !beaten {
			kept = append(kept, o)
		}
	}
	return kept
}

func noLonger(a, b []float64) bool {
	for i, x := range a {
		if x > b[i] {
			return false
		}
	}
	return true
}

// A choice is the number of an option for each menu.
type choice []int

// setting turns the dials as chosen.
func (e *Edit) setting(menus []menu, c choice) Setting {
	s := make(Setting, len(e.dials))
	for i, m := range menus {
		for dial, r := range m.options[c[i]].turned {
			s[dial] = r
		}
	}
	return s
}

// speedups are the ratios of the dense model's times to those of a choice, by
// shape.
func speedups(menus []menu, rest []float64, c choice) []float64 {
	ratios := make([]float64, len(rest))
	for s, r := range rest {
		dense, pruned := r, r
		for i, m := range menus {
			dense += m.options[0].times[s]
			pruned += m.options[c[i]].times[s]
		}
		ratios[s] = dense / pruned
	}
	return ratios
}

// speedup is the smallest ratio.
func speedup(menus []menu, rest []float64, c choice) float64 {
	return slices.Min(speedups(menus, rest, c))
}

// weightOf is what an option takes: the mean over shapes of its share of the
// dense model's time.
func weightOf(menus []menu, rest []float64) func(o *option) float64 {
	dense := make([]float64, len(rest))
	for s, r := range rest {
		dense[s] = r
		for _, m := range menus {
			dense[s] += m.options[0].times[s]
		}
	}
	return func(o *option) float64 {
		sum := 0.0
		for s, t := range o.times {
			sum += t / dense[s]
		}
		return sum / float64(len(dense))
	}
}

// buckets are how finely the knapsack tells times apart.
const buckets = 10000

// knapsack is the choice of least total cost whose total weight is at most
// budget; nil where there is none. The first of equals is taken, so that the
// same inputs give the same choice.
func knapsack(menus []menu, budget float64, weight, cost func(o *option) float64) choice {
	if !(budget > 0) {
		return nil
	}
	// best[i][b]: least cost of the menus from i on within b buckets.
	best := make([][buckets + 1]float64, len(menus)+1)
	steps := func(o *option) int { return int(min(buckets+1, math.Ceil(weight(o)/budget*buckets))) }
	for i := len(menus) - 1; i >= 0; i-- {
		for b := range best[i] {
			best[i][b] = math.Inf(1)
		}
		for j := range menus[i].options {
			o := &menus[i].options[j]
			price, took := cost(o), steps(o)
			for b := took; b <= buckets; b++ {
				best[i][b] = min(best[i][b], price+best[i+1][b-took])
			}
		}
	}
	if math.IsInf(best[0][buckets], 1) {
		return nil
	}
	c, b := make(choice, len(menus)), buckets
	for i := range menus {
		for j := range menus[i].options {
			o := &menus[i].options[j]
			if w := steps(o); w <= b && cost(o)+best[i+1][b-w] == best[i][b] {
				c[i], b = j, b-w
				break
			}
		}
	}
	return c
}

// fitting is the cheapest choice that is fast enough at every shape, or nil.
func fitting(menus []menu, rest []float64, wanted float64, cost func(o *option) float64) choice {
	weight := weightOf(menus, rest)
	fixed := weight(&option{times: rest})
	const tighter = 0.995 // the mean over shapes is not the slowest shape
	for budget := 1/wanted - fixed; budget > 0; budget *= tighter {
		c := knapsack(menus, budget, weight, cost)
		if c == nil {
			return nil
		}
		if speedup(menus, rest, c) >= wanted {
			return c
		}
	}
	return nil
}
