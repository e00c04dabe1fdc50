package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"etc/formats/checkpoint"
	"etc/ir/tensor"
	"etc/memo"
	"etc/prune"
)

// TestBestSoFar: progress says what has been reached, a loss as less.
func TestBestSoFar(t *testing.T) {
	verdict := func(name string, drop float64) *prune.Verdict { return &prune.Verdict{Name: name, Drop: drop} }
	for want, c := range map[string]prune.Candidate{
		"best 1.83× at -0.4 points":          {Speedups: []float64{2, 1.83}, Verdict: verdict("accuracy", 0.41)},
		"best 1.83× at +0.4 points":          {Speedups: []float64{1.83}, Verdict: verdict("spearman", -0.41)},
		"best 1.83× at +0.0 points":          {Speedups: []float64{1.83}, Verdict: verdict("accuracy", 0)},
		"best 1.83× at +3.2 % of perplexity": {Speedups: []float64{1.83}, Verdict: verdict("perplexity", 3.2)},
		"best 1.83× at damage 0.0123":        {Speedups: []float64{1.83}, Damage: 0.01234},
		"best 31 % zeros at -1.0 points":     {Sparsity: 0.314, Verdict: verdict("accuracy", 1)},
	} {
		if got := bestSoFar(&c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestProgressTells: the line of a stage ends with what else is told; a
// progress that is not there tells nothing.
func TestProgressTells(t *testing.T) {
	var b bytes.Buffer
	bar := &progress{out: &b, stage: "searching", start: time.Now().Add(-time.Minute)}
	bar.tell("best 1.83× at -0.4 points")
	bar.set(40, 100)
	if want := "searching: 40%, 1m30s left, best 1.83× at -0.4 points\n"; b.String() != want {
		t.Errorf("told %q, want %q", b.String(), want)
	}
	p := &program{quiet: true, err: &b}
	b.Reset()
	quiet := p.newProgress("searching")
	quiet.tell("best")
	quiet.set(1, 2)
	if b.Len() > 0 {
		t.Errorf("with --quiet: %q", b.String())
	}
}

// TestSearchTellsTheBest: what a search tells carries the best so far, and so
// does the stage in which rows are judged.
func TestSearchTellsTheBest(t *testing.T) {
	var b bytes.Buffer
	r := &pruning{program: &program{err: &b}}
	q := &prune.Quest{}
	clear := r.tellProgress(q)
	defer clear()
	tell := func() string {
		b.Reset()
		q.Tell("comparing allocations", 1, 4)
		r.progress.shown = time.Time{}
		q.Tell("comparing allocations", 2, 4)
		return b.String()
	}
	if said := tell(); !strings.HasPrefix(said, "comparing allocations: 50%") || strings.Contains(said, "best") {
		t.Errorf("told %q", said)
	}
	q.Best = &prune.Candidate{Speedups: []float64{1.5}, Damage: 0.5}
	if said := tell(); !strings.HasSuffix(said, ", best 1.50× at damage 0.5\n") {
		t.Errorf("told %q", said)
	}
}

// TestMemoBase: statistics are known again for the same checkpoint and the same
// rows, and for no others.
func TestMemoBase(t *testing.T) {
	t.Setenv("ETC_CACHE_DIR", t.TempDir())
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	name := c.Names()[0]
	x, _ := c.Tensor(name)
	x.Data = bytes.Clone(x.Data)
	x.Data[0] ^= 1
	one := &sample{ids: [][]int32{{1, 2}, {3}}, types: [][]int32{{0, 0}, {0}}}
	if ask("a", "bc") == memo.Ask("a", "bc") {
		t.Error("a question is the same for all programs")
	}
	seen := map[string]string{}
	for what, r := range map[string]*pruning{
		"one":           {ckpt: c, sample: one},
		"none":          {ckpt: c},
		"other ids":     {ckpt: c, sample: &sample{ids: [][]int32{{1, 2}, {4}}, types: one.types}},
		"other types":   {ckpt: c, sample: &sample{ids: one.ids, types: [][]int32{{0, 1}, {0}}}},
		"other rows":    {ckpt: c, sample: &sample{ids: [][]int32{{1}, {2, 3}}, types: [][]int32{{0}, {0, 0}}}},
		"other weights": {ckpt: c.With(map[string]tensor.Tensor{name: x}), sample: one},
	} {
		base, err := r.memoBase()
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[base]; ok {
			t.Errorf("%s has the name of %s", what, was)
		}
		seen[base] = what
		if again, err := r.memoBase(); err != nil || again != base {
			t.Errorf("%s: %s, then %s, %v", what, base, again, err)
		}
	}
}
