package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomMenus have options of random times at each shape and random costs; the
// first of each takes the most and loses nothing.
func randomMenus(rng *rand.Rand, n, options, shapes int) (menus []menu, rest []float64) {
	for range n {
		m := menu{options: []option{{times: make([]float64, shapes)}}}
		for s := range shapes {
			m.options[0].times[s] = 50 + 50*rng.Float64()
		}
		for range options - 1 {
			o := option{local: rng.Float64(), damage: rng.Float64()}
			for s := range shapes {
				o.times = append(o.times, m.options[0].times[s]*rng.Float64())
			}
			m.options = append(m.options, o)
		}
		menus = append(menus, m)
	}
	for range shapes {
		rest = append(rest, 10*rng.Float64())
	}
	return menus, rest
}

// choices visits every choice.
func choices(menus []menu, visit func(c choice)) {
	c := make(choice, len(menus))
	for {
		visit(c)
		i := 0
		for ; i < len(c); i++ {
			if c[i]++; c[i] < len(menus[i].options) {
				break
			}
			c[i] = 0
		}
		if i == len(c) {
			return
		}
	}
}

// sumOf adds a number of the options chosen.
func sumOf(menus []menu, c choice, of func(o *option) float64) float64 {
	sum := 0.0
	for i, m := range menus {
		sum += of(&m.options[c[i]])
	}
	return sum
}

func local(o *option) float64 { return o.local }

// cheapest is the least cost of all choices that are allowed.
func cheapest(menus []menu, allowed func(c choice) bool) float64 {
	least := math.Inf(1)
	choices(menus, func(c choice) {
		if allowed(c) {
			least = min(least, sumOf(menus, c, local))
		}
	})
	return least
}

// TestKnapsackAgainstAllChoices: it keeps to the budget and costs no more than
// the cheapest of all choices that leave what rounding to buckets may take.
func TestKnapsackAgainstAllChoices(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	weight := func(o *option) float64 { return o.times[0] }
	exact, none := 0, 0
	for range 60 {
		menus, _ := randomMenus(rng, 4, 5, 1)
		budget := 250 * rng.Float64()
		c := knapsack(menus, budget, weight, local)
		atMost := func(limit float64) float64 {
			return cheapest(menus, func(c choice) bool { return sumOf(menus, c, weight) <= limit })
		}
		if c == nil {
			none++
			if least := atMost(budget * (1 - 4.0/buckets)); !math.IsInf(least, 1) {
				t.Errorf("budget %v: nothing found, but there is a choice that costs %v", budget, least)
			}
			continue
		}
		got, best := sumOf(menus, c, local), atMost(budget)
		if w := sumOf(menus, c, weight); w > budget*(1+1e-12) {
			t.Errorf("budget %v: takes %v", budget, w)
		}
		if got > atMost(budget*(1-4.0/buckets))+1e-12 || got < best-1e-12 {
			t.Errorf("budget %v: costs %v, the cheapest %v", budget, got, best)
		}
		if near(got, best, 1e-12) {
			exact++
		}
	}
	if exact < 30 || none < 10 {
		t.Errorf("%d of 60 exact, %d without a choice: the examples show little", exact, none)
	}
}

func TestKnapsackTakesTheFirstOfEquals(t *testing.T) {
	same := option{times: []float64{1}, local: 0.5}
	menus := []menu{{options: []option{{times: []float64{9}}, same, same}}, {options: []option{{times: []float64{9}}, same, same}}}
	c := knapsack(menus, 2.5, func(o *option) float64 { return o.times[0] }, local)
	if !slices.Equal(c, choice{1, 1}) {
		t.Errorf("%v, want the first of each pair", c)
	}
	for _, budget := range []float64{0, -1, math.NaN()} {
		if c := knapsack(menus, budget, func(o *option) float64 { return 0 }, local); c != nil {
			t.Errorf("budget %v: %v", budget, c)
		}
	}
}

// TestKnapsackRoundsUp: weights that are a little over a bucket do not add up to
// more than the budget, and one that is all of it fits.
func TestKnapsackRoundsUp(t *testing.T) {
	weight := func(o *option) float64 { return o.times[0] }
	const budget, n = 100, 10
	var menus []menu
	for range n {
		menus = append(menus, menu{options: []option{{times: []float64{budget/n + 0.9*budget/buckets}}, {times: []float64{1}, local: 1}}})
	}
	c := knapsack(menus, budget, weight, local)
	if w := sumOf(menus, c, weight); w > budget || sumOf(menus, c, local) != 1 {
		t.Errorf("%v takes %v of %v", c, w, budget)
	}
	whole := []menu{{options: []option{{times: []float64{budget}}}}}
	if c := knapsack(whole, budget, weight, local); !slices.Equal(c, choice{0}) {
		t.Errorf("%v, want what takes all of the budget", c)
	}
}

// TestFittingReachesTheSpeed at every shape, and of one shape is the cheapest
// that does, up to buckets.
func TestFittingReachesTheSpeed(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 4))
	found := 0
	for round := range 24 {
		shapes := 1 + round%3
		menus, rest := randomMenus(rng, 4, 5, shapes)
		wanted := 1.1 + 2*rng.Float64()
		c := fitting(menus, rest, wanted, local)
		fast := func(by float64) float64 {
			return cheapest(menus, func(c choice) bool { return speedup(menus, rest, c) >= by })
		}
		if c == nil {
			if shapes == 1 && !math.IsInf(fast(wanted*1.002), 1) {
				t.Errorf("nothing %v times as fast, but there is", wanted)
			}
			continue
		}
		found++
		if s := speedup(menus, rest, c); s < wanted {
			t.Errorf("%v times as fast, want %v", s, wanted)
		}
		got := sumOf(menus, c, local)
		if got < fast(wanted)-1e-12 || shapes == 1 && got > fast(wanted*1.002)+1e-12 {
			t.Errorf("%d shapes: costs %v, the cheapest that is as fast %v", shapes, got, fast(wanted))
		}
	}
	if found < 15 {
		t.Errorf("%d of 24 found: the examples show little", found)
	}
	menus, rest := randomMenus(rng, 2, 3, 2)
	if c := fitting(menus, rest, 1e6, local); c != nil {
		t.Errorf("a million times as fast: %v", c)
	}
}

// TestSpeedups by hand: two sublayers, two shapes.
func TestSpeedups(t *testing.T) {
	menus := []menu{
		{options: []option{{times: []float64{40, 100}}, {times: []float64{20, 90}}}},
		{options: []option{{times: []float64{50, 80}}, {times: []float64{10, 0}}}},
	}
	rest := []float64{10, 20}
	for _, c := range []struct {
		choice
		want []float64
	}{{choice{0, 0}, []float64{1, 1}}, {choice{1, 0}, []float64{100. / 80, 200. / 190}}, {choice{1, 1}, []float64{100. / 40, 200. / 110}}} {
		if got := speedups(menus, rest, c.choice); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.choice, got, c.want)
		}
		if got := speedup(menus, rest, c.choice); got != slices.Min(c.want) {
			t.Errorf("%v: %v, want the least of %v", c.choice, got, c.want)
		}
	}
	if got := weightOf(menus, rest)(&menus[0].options[0]); got != (0.4+0.5)/2 {
		t.Errorf("weight %v, want 0.45", got)
	}
}

// TestWorthwhileLeavesOutTheBeaten: no option that stays is beaten, each that
// goes is beaten by one that stays, and the first, the dense one, stays.
func TestWorthwhileLeavesOutTheBeaten(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	beats := func(by, o option) bool {
		return by.local <= o.local && by.times[0] <= o.times[0] && by.times[1] <= o.times[1] &&
			(by.local < o.local || by.times[0] < o.times[0] || by.times[1] < o.times[1])
	}
	gone, stayed := 0, 0
	for range 50 {
		all := []option{{times: []float64{9, 9}}}
		for i := range 8 {
			all = append(all, option{map[int]int{0: i + 1}, []float64{float64(rng.IntN(9)), float64(rng.IntN(9))}, float64(1 + rng.IntN(5)), 0})
		}
		kept := worthwhile(all)
		if kept[0].local != 0 || kept[0].times[0] != 9 {
			t.Fatalf("the dense option went: %+v", kept)
		}
		for _, o := range all[1:] {
			stays := slices.ContainsFunc(kept, func(k option) bool { return k.turned[0] == o.turned[0] })
			beaten := slices.ContainsFunc(all, func(by option) bool { return beats(by, o) })
			beatenByKept := slices.ContainsFunc(kept, func(by option) bool { return beats(by, o) })
			if stays == beaten || beaten != beatenByKept {
				t.Errorf("%+v stays: %v, is beaten: %v, by one that stays: %v, of %+v", o, stays, beaten, beatenByKept, all)
			}
			if stays {
				stayed++
			} else {
				gone++
			}
		}
	}
	if gone < 100 || stayed < 100 {
		t.Errorf("%d go, %d stay: the examples show little", gone, stayed)
	}
	one := []option{{times: []float64{5, 5}, local: 1}, {times: []float64{1, 1}}}
	if kept := worthwhile(one); len(kept) != 2 || kept[0].local != 1 {
		t.Errorf("a first option that is beaten: %+v", kept)
	}
}

func TestNarrowerHeads(t *testing.T) {
	for d, want := range map[int][]int{64: {64, 48, 32}, 32: {32, 16}, 16: {16}, 8: {8}, 24: {24, 16}, 1: {1}} {
		if got := narrower(d); !slices.Equal(got, want) {
			t.Errorf("narrower than %d: %v, want %v", d, got, want)
		}
	}
}
