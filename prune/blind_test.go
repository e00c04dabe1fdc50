package prune

import (
	"context"
	"math"
	"testing"

	"etc/ir"
)

// TestQuestWithoutASearchJudge goes as far as the method can: no candidate has
// a verdict, and only the rows that decide at the end may refuse.
func TestQuestWithoutASearchJudge(t *testing.T) {
	refuse := func(context.Context, *ir.Graph) (*Verdict, error) { return &Verdict{Drop: 3.5}, nil }
	for _, name := range []string{"structured", "tiles"} {
		m, err := MethodNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		run := func(set func(q *Quest)) (*world, *Quest, *Found, error) {
			w := newWorld(t)
			q := w.quest(math.Inf(1))
			q.Method, q.Search = m, nil
			set(q)
			f, err := q.Run(t.Context())
			return w, q, f, err
		}
		furthest := func(q *Quest, f *Found) bool {
			if q.allocates() {
				return f.Candidate.Speedup() > q.fastest()/(rung*rung)
			}
			return f.Recipe.Sparsity == 1
		}

		w, q, f, err := run(func(*Quest) {})
		if err != nil {
			t.Fatal(err)
		}
		if !furthest(q, f) || f.Candidate.Verdict != nil || q.Best == nil || len(w.search) != 0 || len(w.accept) != 1 || f.Accepted == nil {
			t.Errorf("%s: found %+v, best so far %v, %d and %d looks", name, f.Candidate, q.Best, len(w.search), len(w.accept))
		}
		_, q, f, err = run(func(q *Quest) { q.Accept, q.Reserve = nil, nil })
		if err != nil || !furthest(q, f) || f.Accepted != nil || f.Graph == nil || f.Recipe == nil {
			t.Errorf("%s: without rows found %+v, %v", name, f, err)
		}
		w, q, f, err = run(func(q *Quest) { q.Accept = refuse })
		if err != nil || !f.Reserved || len(w.reserve) != 1 || f.Accepted == nil || !q.allocates() && f.Recipe.Sparsity == 1 {
			t.Errorf("%s: refused by the accept rows, found %+v, %v", name, f, err)
		}
		_, _, f, err = run(func(q *Quest) { q.Accept, q.Reserve = refuse, refuse })
		refused(t, f, err, "costs 3.50 points on the rows set aside")
		refused(t, f, err, "best found on the search rows: none that was inside")
	}
}
