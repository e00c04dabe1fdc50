package prune_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/prune"
)

// looks counts what a judge is shown.
type looks struct {
	sparsities []float64
	verdict    func(look int, sparsity float64) (bool, error)
}

func (l *looks) judge(_ *ir.Graph, r *prune.Recipe) (bool, error) {
	l.sparsities = append(l.sparsities, r.Sparsity)
	return l.verdict(len(l.sparsities)-1, r.Sparsity)
}

func always(ok bool) *looks {
	return &looks{verdict: func(int, float64) (bool, error) { return ok, nil }}
}

func atMost(limit float64) *looks {
	return &looks{verdict: func(_ int, s float64) (bool, error) { return s <= limit, nil }}
}

// quest is a search on a graph where every rung is another sparsity.
func quest(search, accept *looks) *prune.Quest {
	return &prune.Quest{
		Fresh:  func() (*ir.Graph, error) { return bertLike(32, 2, 64, 2), nil },
		Method: prune.Elements,
		Search: search.judge,
		Accept: accept.judge,
	}
}

// ladder is the sparsities of all rungs, found by searches that end at each.
func ladder(t *testing.T) []float64 {
	t.Helper()
	var all []float64
	for i := range 300 {
		s := atMost(float64(i) / 300)
		if _, err := quest(s, always(true)).Run(); err != nil {
			checkFault(t, err, fault.Unreachable, "no sparsity")
		}
		all = append(all, s.sparsities...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestSearchFindsTheLargestRung(t *testing.T) {
	rungs := ladder(t)
	if len(rungs) != 32 {
		t.Fatalf("%d rungs, want 32: %v", len(rungs), rungs)
	}
	for want, limit := range rungs {
		search, accept := atMost(limit), always(true)
		q := quest(search, accept)
		last, total := -1, 0
		q.Tell = func(done, of int) {
			if done != last+1 || done >= of {
				t.Errorf("progress %d of %d after %d", done, of, last)
			}
			last, total = done, of
		}
		f, err := q.Run()
		if err != nil {
			t.Fatal(err)
		}
		zeros, all := zeroShare(f.Graph)
		if f.Recipe.Sparsity != rungs[want] || float64(zeros)/float64(all) != rungs[want] {
			t.Errorf("limit %v: found %v, want %v", limit, f.Recipe.Sparsity, rungs[want])
		}
		if len(search.sparsities) > 6 || total != 6 || !slices.Equal(accept.sparsities, rungs[want:want+1]) {
			t.Errorf("limit %v: %d looks of %d, then at %v", limit, len(search.sparsities), total, accept.sparsities)
		}
	}
}

func TestSearchStepsBackThreeTimes(t *testing.T) {
	rungs := ladder(t)
	const top = 20
	for refusals := range 6 {
		accept := &looks{verdict: func(look int, _ float64) (bool, error) { return look >= refusals, nil }}
		f, err := quest(atMost(rungs[top]), accept).Run()
		if refusals > 3 {
			checkFault(t, err, fault.Unreachable, "no sparsity of method elements stays inside")
			if f != nil || len(accept.sparsities) != 4 {
				t.Errorf("%d refusals: %d looks, found %v", refusals, len(accept.sparsities), f)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Recipe.Sparsity != rungs[top-refusals] {
			t.Errorf("%d refusals: found %v, want %v", refusals, f.Recipe.Sparsity, rungs[top-refusals])
		}
	}
}

func TestSearchEndsAtTheDenseModel(t *testing.T) {
	rungs := ladder(t)
	accept := always(false) // from the second rung there is one step back only
	_, err := quest(atMost(rungs[1]), accept).Run()
	checkFault(t, err, fault.Unreachable, "no sparsity")
	if !slices.Equal(accept.sparsities, []float64{rungs[1], rungs[0]}) {
		t.Errorf("looks at %v", accept.sparsities)
	}
	accept = always(true)
	_, err = quest(always(false), accept).Run()
	checkFault(t, err, fault.Unreachable, "no sparsity")
	if len(accept.sparsities) != 0 {
		t.Errorf("the dense model was put before the second judge")
	}
}

// TestSearchOfFewUnits: where there are fewer units than rungs, no rung is the
// dense model, none is judged twice, and there are fewer looks.
func TestSearchOfFewUnits(t *testing.T) {
	search, accept := atMost(0), always(true)
	q := quest(search, accept)
	q.Fresh = func() (*ir.Graph, error) { return bertLike(32, 4, 64, 2), nil }
	q.Method = prune.Heads // of which three may go
	total := 0
	q.Tell = func(_, of int) { total = of }
	f, err := q.Run()
	checkFault(t, err, fault.Unreachable, "no sparsity")
	if f != nil || len(accept.sparsities) != 0 {
		t.Error("the dense model was found")
	}
	if len(search.sparsities) != 2 || total != 2 || slices.Contains(search.sparsities, 0) {
		t.Errorf("looks at %v of %d", search.sparsities, total)
	}
	search.verdict = func(int, float64) (bool, error) { return true, nil }
	if f, err = q.Run(); err != nil || f.Recipe.Sparsity == 0 {
		t.Fatalf("found %v, %v", f, err)
	}
	q.Fresh = func() (*ir.Graph, error) { return f.Graph, nil }
	_, err = q.Run()
	checkFault(t, err, fault.Unreachable, "method heads has nothing left to zero")
}

func TestSearchReportsErrors(t *testing.T) {
	broken := errors.New("no metric")
	failing := &looks{verdict: func(int, float64) (bool, error) { return true, broken }}
	for _, q := range []*prune.Quest{
		quest(failing, always(true)),
		quest(always(true), failing),
		{Fresh: func() (*ir.Graph, error) { return nil, broken }, Method: prune.Heads},
	} {
		if f, err := q.Run(); !errors.Is(err, broken) || f != nil {
			t.Errorf("found %v, error %v", f, err)
		}
	}
}

func TestSearchIsDeterministic(t *testing.T) {
	var last []byte
	for range 2 {
		f, err := quest(atMost(0.4), always(true)).Run()
		if err != nil {
			t.Fatal(err)
		}
		if now := bytesOf(f.Graph); last != nil && !bytes.Equal(now, last) {
			t.Error("two searches differ")
		} else {
			last = now
		}
	}
}

func TestGraphsShownToJudgesStay(t *testing.T) {
	q := quest(always(true), always(true))
	var shown []*prune.Found
	q.Search = func(g *ir.Graph, r *prune.Recipe) (bool, error) {
		shown = append(shown, &prune.Found{Graph: g, Recipe: r})
		return r.Sparsity < 0.5, nil
	}
	if _, err := q.Run(); err != nil {
		t.Fatal(err)
	}
	for _, f := range shown {
		if zeros, all := zeroShare(f.Graph); float64(zeros)/float64(all) != f.Recipe.Sparsity {
			t.Errorf("a graph of sparsity %v has %d zeros of %d now", f.Recipe.Sparsity, zeros, all)
		}
	}
}
