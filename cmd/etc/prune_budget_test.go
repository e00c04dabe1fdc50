package main

import (
	"testing"
	"time"

	"etc/eval"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/prune"
)

// TestBudget: it is over when what is left would not do for a step and for what comes
// after the search, and not before. What was done before the first question is no step.
func TestBudget(t *testing.T) {
	const minute = time.Minute
	one, many := prune.Step{Kind: "a", Count: 1}, prune.Step{Kind: "a", Count: 10}
	bare := prune.Step{Kind: "a", Count: 1, Bare: true}
	took := func(times ...time.Duration) map[string]*stepTimes {
		b := &budget{steps: map[string]*stepTimes{}}
		for _, d := range times {
			b.took("a", d)
		}
		return b.steps
	}
	for i, c := range []struct {
		left, rebuild, judge time.Duration
		steps                map[string]*stepTimes
		since                time.Duration // the last question, 0: there was none
		step                 prune.Step
		want                 bool
	}{
		{10 * minute, 0, 0, took(), 0, one, false},
		{-minute, 0, 0, took(), 0, one, true},
		{10 * minute, 7 * minute, 2 * minute, took(), 0, one, false},
		{10 * minute, 7 * minute, 4 * minute, took(), 0, one, true},
		{10 * minute, 7 * minute, 4 * minute, took(), 0, bare, false},
		{10 * minute, 0, 11 * minute, took(), 0, bare, true},
		{10 * minute, 6 * minute, 0, took(5*minute, minute), 0, one, true},
		{10 * minute, 6 * minute, 0, took(3*minute, minute), 0, one, false},
		{10 * minute, 6 * minute, 0, took(3 * minute), 5 * minute, one, true},
		{10 * minute, 6 * minute, 0, took(3 * minute), 5 * minute, prune.Step{Kind: "b", Count: 1}, false},
		{10 * minute, 0, 0, took(minute, minute, minute), 0, many, false}, // too few to tell
		{10 * minute, 0, 0, took(2*minute, minute, minute, minute), 0, many, true},
		{10 * minute, 0, 0, took(2*minute, minute/3, minute/3, minute/3), 0, many, false},
	} {
		now := time.Now()
		b := &budget{end: now.Add(c.left), rebuild: c.rebuild, judge: c.judge, steps: c.steps, kind: "a"}
		if c.since > 0 {
			b.asked = now.Add(-c.since)
		}
		if got := b.over(c.step); got != c.want || got != b.asked.IsZero() {
			t.Errorf("%d: over %v, asked %v", i, got, b.asked)
		}
	}
	for _, bad := range []string{"0", "0s", "-1m", "10", "soon", "NaN", "1e400h"} {
		if b, err := newBudget(bad); b != nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, %v", bad, b, err)
		}
	}
	b, err := newBudget("1h30m")
	if left := time.Until(b.end); err != nil || left > 90*minute || left < 89*minute || !b.asked.IsZero() {
		t.Errorf("1h30m: %v left, %v, asked %v", left, err, b.asked)
	}
	for _, c := range [][4]time.Duration{{40, 2, 40, 2}, {50, 5, 40, 5}, {50, 60, 0, 45}} { // minutes wanted, and set aside
		b.setAside(c[0]*minute, c[1]*minute)
		if got := [2]time.Duration{b.rebuild.Round(minute) / minute, b.judge.Round(minute) / minute}; got != [2]time.Duration{c[2], c[3]} {
			t.Errorf("%v: %v set aside", c, got)
		}
	}
	if b, err := newBudget(""); b != nil || err != nil {
		t.Errorf("none: %v, %v", b, err)
	}
}

// TestLongStart: what it takes before the first question, and where the answer was no,
// counts as no step: there is time for more.
func TestLongStart(t *testing.T) {
	b, err := newBudget("1h")
	if err != nil {
		t.Fatal(err)
	}
	b.end = time.Now().Add(10 * time.Minute) // 50 minutes for calibration
	step := prune.Step{Kind: "a", Count: 1}
	for i := range 2 {
		if b.over(step) {
			t.Errorf("over at step %d", i)
		}
	}
	b.rebuild = time.Hour
	if !b.over(step) {
		t.Error("there is an hour more")
	}
	if b.rebuild = 0; len(b.steps) != 1 || b.over(step) {
		t.Errorf("%d kinds of steps, over", len(b.steps))
	}
}

// TestFinishing: lines of a text take as long to judge as rows of a table, both sentences of
// a pair as two; a language model's outputs are compared by whole runs.
func TestFinishing(t *testing.T) {
	data := loadDev(t)
	text, pairs := &rows.Data{Name: "text"}, &rows.Data{Name: "pairs", Target: rows.ScoreTarget}
	for i, e := range data.Examples {
		text.Text += e.Text + "\n"
		e.Pair, e.Label, e.Score, e.HasScore = &e.Text, "", float64(i), true
		pairs.Examples = append(pairs.Examples, e)
	}
	of := func(data *rows.Data, task plan.Task) (rebuild, judge float64) {
		r, _, err := pruningOf(t, nil, &pruneFlags{maxDrop: "1%"}, &eval.Drop{Percent: 1})
		if err != nil {
			t.Fatal(err)
		}
		r.data, r.model.Task, r.sample = data, task, &sample{ids: make([][]int32, 100), tokens: 2000}
		if err := r.partRows(); err != nil {
			t.Fatal(err)
		}
		a, b := r.finishing(1e-3, 500)
		return a.Seconds(), b.Seconds()
	}
	rebuild, judge := of(data, plan.Classification)
	n := float64(len(data.Examples))
	if want := n * 0.8 * 20 * 1e-3; judge < 0.9*want || judge > 1.1*want {
		t.Errorf("%v s for judges, want about %v", judge, want)
	}
	if _, lines := of(text, plan.Classification); lines < 0.99*judge || lines > 1.01*judge {
		t.Errorf("%v s for judges of lines, want %v", lines, judge)
	}
	if loss, _ := of(text, plan.CausalLM); loss <= rebuild {
		t.Errorf("%v s to rebuild a language model, want more than %v", loss, rebuild)
	}
	if _, two := of(pairs, plan.Embedding); two < 1.9*judge || two > 2.1*judge {
		t.Errorf("%v s for judges of pairs, want twice %v", two, judge)
	}
}
