package prune

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"etc/ir"
)

// timed is a quest at a speed with a notebook, whose damage is that of outputs, and in which
// there is time for so many stages; below zero for all that there are.
func timed(t *testing.T, n notebook, stages int) *counted {
	c := newCounted(t, n)
	c.Quest.Search, c.Speedup = c.judge(&c.search, 99), 2
	c.Quest.Accept = c.judge(&c.world.accept, 99)
	c.Quest.Reserve = c.judge(&c.world.reserve, 99)
	dense := outputs(t, c.dense)
	c.Damage = func(_ context.Context, g *ir.Graph) (float64, error) { return apart(outputs(t, g), dense), nil }
	if stages >= 0 {
		c.Stop = func(s Step) bool {
			if s.Kind == stepStage && s.Count == 1 {
				stages--
				return stages < 0
			}
			return s.Kind == stepStage
		}
	}
	return c
}

// TestNoTimeForAllStages: a rebuilding that is cut short leaves the other stages at once. What
// was judged is what is found, and with all the time, and what was noted by then, the outcome is
// that of a search that nothing cut.
func TestNoTimeForAllStages(t *testing.T) {
	n := notebook{}
	damage := map[int]float64{}
	for _, stages := range []int{0, 3} {
		c := timed(t, n, stages)
		f, _ := c.run(t)
		if !c.Stopped || !f.Candidate.cut || f.Candidate.stages != stages || c.calibrations > stages {
			t.Errorf("%d stages: stopped %v, cut %v after %d, %d calibrations", stages, c.Stopped, f.Candidate.cut, f.Candidate.stages, c.calibrations)
		}
		if len(c.world.accept) != 1 || c.world.accept[0] != f.Graph || c.search[len(c.search)-1] != f.Graph {
			t.Errorf("%d stages: what is found was not judged", stages)
		}
		again := 0
		for _, r := range f.Recipe.Matrices {
			if r.Target != "" && r.Target != atOnce {
				again++
			}
		}
		if again > 3*stages || stages > 0 && again == 0 {
			t.Errorf("%d stages: %d matrices rebuilt", stages, again)
		}
		damage[stages] = f.Candidate.Damage
		if want := fmt.Sprintf(" (the first %d stages)", stages); !bytes.HasSuffix([]byte(f.Candidate.Name), []byte(want)) {
			t.Errorf("name %q", f.Candidate.Name)
		}
	}
	whole := timed(t, notebook{}, -1)
	f, want := whole.run(t)
	if !(f.Candidate.Damage < damage[3] && damage[3] < damage[0]) {
		t.Errorf("damage %v, of three stages %v, of none %v", f.Candidate.Damage, damage[3], damage[0])
	}
	if _, got := timed(t, n, -1).run(t); !bytes.Equal(got, want) {
		t.Error("after a search that was cut short, another finds something else")
	}
	if _, got := timed(t, notebook{}, 99).run(t); !bytes.Equal(got, want) { // one candidate, which is the best
		t.Error("with time for all stages something else is found")
	}
}

// TestNextBestIsAsItWasJudged: what was cut short is not written again for the rows set aside,
// which would be as far as time goes by then.
func TestNextBestIsAsItWasJudged(t *testing.T) {
	c := timed(t, notebook{}, 99)
	stages := 0
	c.Stop = func(s Step) bool {
		if s.Kind == stepStage && s.Count == 1 {
			stages++
		}
		return stages > 9
	}
	c.Quest.Accept = refuse(&c.world.accept)
	f, err := c.Run(t.Context())
	if err != nil || !f.Reserved {
		t.Fatal(f, err)
	}
	if len(c.search) != finals || !slices.Contains(c.search, f.Graph) || stages < 9 {
		t.Errorf("%d judged, after %d stages: another model is found", len(c.search), stages)
	}
}

// TestStepsAskedFor: sublayers are measured all or not at all, with time for the search after
// them; as long as a climb has found nothing inside, nothing has to be rebuilt, and then it has.
func TestStepsAskedFor(t *testing.T) {
	w := newWorld(t)
	q := w.quest(2)
	q.Calibrate = calibrator(t, w.dense)
	inside, last := false, 0
	q.Heard = func(v *Verdict) { inside = inside || v.Inside }
	asked := map[string]int{}
	q.Stop = func(s Step) bool {
		asked[s.Kind]++
		bare := s.Kind == stepStage || s.Kind == stepAllocation && !inside
		if s.Bare != bare || s.Count < 1 {
			t.Errorf("asked for %+v, inside %v", s, inside)
		}
		if s.Kind == stepSublayer {
			if last > 0 && s.Count != last-1 || s.Count < len(q.portfolio()) {
				t.Errorf("asked for %d sublayers after %d", s.Count, last)
			}
			last = s.Count
		} else if s.Kind == stepAllocation && !q.measured {
			t.Error("allocations before sublayers")
		}
		return false
	}
	f, err := q.Run(t.Context())
	if err != nil || q.Stopped || f.Candidate.cut {
		t.Fatalf("%v, stopped %v", err, q.Stopped)
	}
	for _, kind := range []string{stepSublayer, stepScheme, stepAllocation, stepStage} {
		if asked[kind] < 3 {
			t.Errorf("%s: asked %d times", kind, asked[kind])
		}
	}
	w = newWorld(t)
	q = w.quest(2)
	q.Stop = func(s Step) bool { return s.Kind == stepSublayer }
	if _, err = q.Run(t.Context()); err != nil || !q.Stopped || q.measured || len(w.search) < 3 {
		t.Errorf("without time for sublayers: %v, %d looks", err, len(w.search))
	}
}
