package prune

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"etc/ir"
)

// A notebook is a Recall in memory.
type notebook map[string][]byte

func (n notebook) recall(question string, answer any, find func() error) error {
	if text, ok := n[question]; ok {
		return json.Unmarshal(text, answer)
	}
	if err := find(); err != nil {
		return err
	}
	text, err := json.Marshal(answer)
	n[question] = text
	return err
}

// A counted is a quest that counts what it has computed.
type counted struct {
	*world
	*Quest
	calibrations int
}

// newCounted is a quest with a notebook, which allows speed-ups up to 2.
func newCounted(t *testing.T, n notebook) *counted {
	w := newWorld(t)
	c := &counted{world: w, Quest: w.quest(2)}
	c.Recall = n.recall
	calibrate := calibrator(t, w.dense)
	c.Calibrate = func(g *ir.Graph, p *Pass) error { c.calibrations++; return calibrate(g, p) }
	return c
}

func (c *counted) run(t *testing.T) (*Found, []byte) {
	t.Helper()
	f, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := json.Marshal(f.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	return f, append(recipe, bytesOf(f.Graph)...)
}

// TestRecalled: what was found once is not computed again, except what the
// accept rows say, and the outcome is the same, said verdicts included.
func TestRecalled(t *testing.T) {
	alone := newCounted(t, nil)
	alone.Recall = nil
	_, want := alone.run(t)
	n := notebook{}
	var first, second []Verdict
	cold := newCounted(t, n)
	cold.Heard = func(v *Verdict) { first = append(first, *v) }
	f, noted := cold.run(t)
	if !bytes.Equal(noted, want) {
		t.Error("taking notes, the outcome is another")
	}
	if cold.damages == 0 || cold.calibrations == 0 || len(cold.search) == 0 {
		t.Fatalf("%d damages, %d calibrations, %d looks: the example asks for nothing", cold.damages, cold.calibrations, len(cold.search))
	}
	warm := newCounted(t, n)
	warm.Heard = func(v *Verdict) { second = append(second, *v) }
	again, got := warm.run(t)
	if warm.damages != 0 || warm.calibrations != 0 || len(warm.search) != 0 || len(warm.world.accept) != 1 {
		t.Errorf("again %d damages, %d calibrations, %d looks at the search rows and %d at those that accept", warm.damages, warm.calibrations, len(warm.search), len(warm.world.accept))
	}
	if !bytes.Equal(got, want) || again.Candidate.Sparsity != f.Candidate.Sparsity || !slices.Equal(first, second) {
		t.Error("recalled, the outcome is another")
	}
	for _, q := range []*counted{cold, warm} {
		for i, c := range q.Tried {
			was := alone.Tried[i]
			if c.Name != was.Name || c.Damage != was.Damage || c.Sparsity != was.Sparsity || c.Outcome != was.Outcome {
				t.Errorf("tried %s %v %v %s, was %s %v %v %s", c.Name, c.Damage, c.Sparsity, c.Outcome, was.Name, was.Damage, was.Sparsity, was.Outcome)
			}
		}
	}
	other := newCounted(t, n)
	other.Rows = "others"
	other.run(t)
	if other.damages != 0 || len(other.search) == 0 {
		t.Errorf("of other rows %d damages and %d looks", other.damages, len(other.search))
	}
}

// TestResumed: wherever a search is interrupted, the next one computes what is
// left and nothing else, but for the looks at a stage that was not done, and
// ends the same.
func TestResumed(t *testing.T) {
	whole := newCounted(t, notebook{})
	_, want := whole.run(t)
	for _, after := range []int{1, whole.damages / 4, whole.damages - 1} {
		n := notebook{}
		ctx, cancel := context.WithCancel(t.Context())
		cut := newCounted(t, n)
		damage := cut.Damage
		cut.Damage = func(ctx context.Context, g *ir.Graph) (float64, error) {
			if cut.damages+1 == after {
				defer cancel()
			}
			return damage(ctx, g)
		}
		if _, err := cut.Run(ctx); err == nil {
			t.Fatal("not interrupted")
		}
		cancel()
		rest := newCounted(t, n)
		_, got := rest.run(t)
		again := 0 // at most the ways of a stage
		if cut.calibrations > 0 {
			again = len(ways)
		}
		if both := cut.damages + rest.damages; cut.damages < after || cut.damages > after+1 || both < whole.damages || both > whole.damages+again {
			t.Errorf("%d and %d damages, all at once %d", cut.damages, rest.damages, whole.damages)
		}
		if both := cut.calibrations + rest.calibrations; both < whole.calibrations || both > whole.calibrations+min(again, 1) {
			t.Errorf("%d and %d calibrations, all at once %d", cut.calibrations, rest.calibrations, whole.calibrations)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("interrupted after %d damages, the outcome is another", after)
		}
	}
}

// TestStagesThatDoNotFit: stages of another model are written anew.
func TestStagesThatDoNotFit(t *testing.T) {
	n := notebook{}
	_, want := newCounted(t, n).run(t)
	changes := []func(s *stageWritten){
		func(s *stageWritten) { s.Records = s.Records[:0] },
		func(s *stageWritten) { s.Weights = nil },
		func(s *stageWritten) { s.Biases = append(s.Biases, nil) },
		func(s *stageWritten) { s.Weights[0] = s.Weights[0][:4] },
		func(s *stageWritten) { s.Biases[0] = nil },
	}
	changed := 0
	for _, question := range slices.Sorted(maps.Keys(n)) {
		if !strings.HasPrefix(question, "stage ") {
			continue
		}
		var s stageWritten
		if err := json.Unmarshal(n[question], &s); err != nil {
			t.Fatal(err)
		}
		changes[changed%len(changes)](&s)
		changed++
		n[question], _ = json.Marshal(&s)
	}
	if changed < len(changes) {
		t.Fatalf("%d stages kept", changed)
	}
	if _, got := newCounted(t, n).run(t); !bytes.Equal(got, want) {
		t.Error("stages that do not fit were taken")
	}
}

// TestKept: of a search that is interrupted, the best inside so far stays; what
// the accept rows refused, or nothing, does not.
func TestKept(t *testing.T) {
	for _, speed := range []float64{0, 1.6} {
		w := newWorld(t)
		q := w.quest(2)
		q.Speedup = speed
		ctx, cancel := context.WithCancel(t.Context())
		q.Accept = func(ctx context.Context, _ *ir.Graph) (*Verdict, error) { cancel(); return nil, ctx.Err() }
		if _, err := q.Run(ctx); err == nil {
			t.Fatal("not interrupted")
		}
		f, err := q.Kept(t.Context())
		if err != nil || f == nil {
			t.Fatalf("kept %v, %v", f, err)
		}
		if got := slices.Min(speedOf(f.Graph)); got < speed || got > 2 || got == 1 || f.Candidate.Verdict == nil || !f.Candidate.Verdict.Inside {
			t.Errorf("kept %v times as fast, %+v", got, f.Candidate.Verdict)
		}
		for _, c := range q.Tried {
			if v := c.Verdict; v != nil && v.Inside && speed == 0 && c.Speedup() > f.Candidate.Speedup() {
				t.Errorf("kept %v, and %v was inside", f.Candidate.Speedup(), c.Speedup())
			}
		}
	}
	q := newWorld(t).quest(0.5)
	if _, err := q.Run(t.Context()); err == nil {
		t.Fatal("something is inside")
	}
	if f, err := q.Kept(t.Context()); f != nil || err != nil {
		t.Errorf("nothing inside: kept %v, %v", f, err)
	}
	q = newWorld(t).quest(2)
	q.Reserve = nil
	q.Accept = func(context.Context, *ir.Graph) (*Verdict, error) { return &Verdict{Drop: 5}, nil }
	if _, err := q.Run(t.Context()); err == nil {
		t.Fatal("accepted")
	}
	if f, err := q.Kept(t.Context()); f != nil || err != nil || q.Best == nil {
		t.Errorf("refused by the accept rows: kept %v, %v", f, err)
	}
}

// TestKeptWithoutAMetric: the one of least damage at the speed stays.
func TestKeptWithoutAMetric(t *testing.T) {
	w := newWorld(t)
	q := w.quest(9)
	q.Speedup, q.Search, q.Accept, q.Reserve = 1.6, nil, nil, nil
	ctx, cancel := context.WithCancel(t.Context())
	q.Calibrate = func(*ir.Graph, *Pass) error { cancel(); return ctx.Err() }
	if _, err := q.Run(ctx); err == nil {
		t.Fatal("not interrupted")
	}
	f, err := q.Kept(t.Context())
	if err != nil || f == nil {
		t.Fatalf("kept %v, %v", f, err)
	}
	if got := slices.Min(speedOf(f.Graph)); got < 1.6 {
		t.Errorf("kept %v times as fast", got)
	}
	for _, c := range q.Tried {
		if c.Damage < f.Candidate.Damage {
			t.Errorf("kept damage %v, and %s has %v", f.Candidate.Damage, c.Name, c.Damage)
		}
	}
}

// TestTooSlowIsNotKept: what is too slow as measured, or was not measured, is not the best so far.
func TestTooSlowIsNotKept(t *testing.T) {
	for _, fast := range []bool{false, true} {
		w := newWorld(t)
		q := w.quest(9)
		q.Speedup, q.Search, q.Accept, q.Reserve = 1.3, nil, nil, nil
		ctx, cancel := context.WithCancel(t.Context())
		looks, last := 0, 0.0
		q.Measure = func(ctx context.Context, g *ir.Graph) (float64, error) {
			if looks++; looks == 3 {
				cancel()
				return 0, ctx.Err()
			}
			if fast && looks == 2 {
				last = w.distance(g)
				return 1.35, nil
			}
			return 1.1, nil
		}
		if _, err := q.Run(ctx); err == nil {
			t.Fatal("not interrupted")
		}
		f, err := q.Kept(t.Context())
		if err != nil || (f != nil) != fast || fast && w.distance(f.Graph) != last {
			t.Errorf("one fast %v: kept %v, %v", fast, f, err)
		}
	}
}

// TestMostZerosAreKept: of a climb without a table, that with most zeros is the best so far, and
// what is said of it are zeros.
func TestMostZerosAreKept(t *testing.T) {
	for _, inside := range []bool{true, false} {
		q := newWorld(t).quest(9)
		var err error
		if q.Method, err = MethodNamed("tiles"); err != nil {
			t.Fatal(err)
		}
		q.Search = func(context.Context, *ir.Graph) (*Verdict, error) {
			return &Verdict{Inside: inside, Rows: 1, Of: 1}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		q.Accept = func(ctx context.Context, _ *ir.Graph) (*Verdict, error) { cancel(); return nil, ctx.Err() }
		_, err = q.Run(ctx)
		if !inside {
			refused(t, nil, err, "% zeros costs 0.00 points on the search rows")
			continue
		}
		f, err := q.Kept(t.Context())
		if err != nil || f == nil {
			t.Fatal(f, err)
		}
		for _, c := range q.Tried {
			if c.Verdict != nil && c.Sparsity > f.Recipe.Sparsity {
				t.Errorf("kept %.3f zeros, %.3f was inside", f.Recipe.Sparsity, c.Sparsity)
			}
		}
	}
}

// TestClimbStops: out of time after some looks, the search takes the best so
// far, looks no further, and says so; before anything is inside, it finds none.
func TestClimbStops(t *testing.T) {
	whole := newWorld(t)
	all := whole.quest(2)
	if _, err := all.Run(t.Context()); err != nil || all.Stopped {
		t.Fatalf("%v, stopped %v", err, all.Stopped)
	}
	w := newWorld(t)
	q := w.quest(2)
	looks := 0 // when the first was inside
	q.Heard = func(v *Verdict) {
		if v.Inside && looks == 0 {
			looks = len(w.search)
		}
	}
	q.Stop = func(Step) bool { return looks > 0 }
	f, err := q.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !q.Stopped || len(w.search) != looks+1 || len(w.search) >= len(whole.search) || f.Accepted == nil { // once more, rebuilt
		t.Errorf("stopped %v, after %d looks, then %d, all %d", q.Stopped, looks, len(w.search), len(whole.search))
	}
	w = newWorld(t)
	q = w.quest(2)
	q.Stop = func(Step) bool { return true }
	f, err = q.Run(t.Context())
	refused(t, f, err, "no pruned model was found")
	if !strings.Contains(err.Error(), "--budget") || w.damages+len(w.search) > 0 {
		t.Errorf("%v, %d damages", err, w.damages)
	}
}

// TestHopelessOutcome: a verdict on a part of the rows says so, and is worse
// than any that is inside.
func TestHopelessOutcome(t *testing.T) {
	w := newWorld(t)
	q := w.quest(2)
	search := q.Search
	q.Search = func(ctx context.Context, g *ir.Graph) (*Verdict, error) {
		v, err := search(ctx, g)
		if err == nil && !v.Inside {
			v.Rows, v.Of = 64, 340
		}
		return v, err
	}
	if _, err := q.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, c := range q.Tried {
		if c.Verdict != nil && !c.Verdict.Inside {
			said++
			if c.Outcome != "outside, after 64 rows" {
				t.Errorf("outcome %q", c.Outcome)
			}
		}
	}
	if said == 0 {
		t.Error("nothing was outside")
	}
	in, out := &Candidate{Verdict: &Verdict{Inside: true, Drop: 0.9}}, &Candidate{Verdict: &Verdict{Drop: 0.5}}
	if !in.better(out) || out.better(in) {
		t.Error("a candidate outside is better than one inside")
	}
}

// TestTold: every stage is told, its counts rise and stay within the total.
func TestTold(t *testing.T) {
	for _, speed := range []float64{0, 1.6} {
		w := newWorld(t)
		q := w.quest(2)
		q.Speedup = speed
		q.Calibrate = calibrator(t, w.dense)
		var stages []string
		counts, last := map[string]int{}, -1
		q.Tell = func(stage string, done, total int) {
			if len(stages) == 0 || stages[len(stages)-1] != stage {
				stages, last = append(stages, stage), -1
			}
			if done < last || done > total || total < 1 {
				t.Errorf("%s: %d of %d after %d", stage, done, total, last)
			}
			last = done
			counts[stage]++
		}
		if _, err := q.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"ranking", "measuring sublayers", "searching", "comparing allocations", "rebuilding 1 of 2", "rebuilding 2 of 2"}
		if speed > 0 {
			want = slices.Delete(want, 2, 3)
		}
		if !slices.Equal(stages, want) {
			t.Errorf("told %q, want %q", stages, want)
		}
		for stage, least := range map[string]int{"measuring sublayers": 8, "comparing allocations": 4, "rebuilding 1 of 2": layerCount} {
			if counts[stage] < least {
				t.Errorf("%s: told %d times, want %d", stage, counts[stage], least)
			}
		}
	}
}
