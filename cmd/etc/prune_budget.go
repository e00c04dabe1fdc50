package main

import (
	"time"

	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/prune"
)

// A budget ends a search so that what comes after it is done in time.
type budget struct {
	total   time.Duration
	end     time.Time
	rebuild time.Duration // what is set aside for rebuilding what was found
	judge   time.Duration // and for its judges
	steps   map[string]*stepTimes
	kind    string    // of the step that goes on since it was asked for
	asked   time.Time // zero: none does
}

// stepTimes are those that steps of a kind have taken.
type stepTimes struct {
	count        int
	sum, longest time.Duration
}

// newBudget begins that of --budget; nil for none.
func newBudget(flag string) (*budget, error) {
	if flag == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(flag)
	if err != nil || d <= 0 {
		return nil, fault.Newf(fault.Usage, "--budget %q: want a time above 0, such as 90s, 10m or 1h30m", flag)
	}
	return &budget{total: d, end: time.Now().Add(d), steps: map[string]*stepTimes{}}, nil
}

// setAside keeps what rebuilding and judging take, but leaves half of the time that
// is left to the search: without it there is nothing to finish.
func (b *budget) setAside(rebuild, judge time.Duration) {
	half := max(0, time.Until(b.end)/2)
	b.judge = min(judge, half)
	b.rebuild = min(rebuild, half-b.judge)
}

// over tells whether a step would leave too little for the rest. Each question ends
// the step before it.
func (b *budget) over(s prune.Step) bool {
	now := time.Now()
	if !b.asked.IsZero() {
		b.took(b.kind, now.Sub(b.asked))
	}
	need := b.takes(s) + b.judge
	if !s.Bare {
		need += b.rebuild
	}
	if now.Add(need).After(b.end) {
		b.asked = time.Time{} // what is done now is no step
		return true
	}
	b.kind, b.asked = s.Kind, now
	return false
}

// took counts a step.
func (b *budget) took(kind string, d time.Duration) {
	t := b.steps[kind]
	if t == nil {
		t = &stepTimes{}
		b.steps[kind] = t
	}
	t.count, t.sum, t.longest = t.count+1, t.sum+d, max(t.longest, d)
}

// fewSteps say little of how long many take.
const fewSteps = 4

// takes is about how long a step takes: the longest of its kind so far; and of many,
// so many times the mean.
func (b *budget) takes(s prune.Step) time.Duration {
	t := b.steps[s.Kind]
	switch {
	case t == nil:
		return 0
	case s.Count == 1 || t.count < fewSteps:
		return t.longest
	}
	return max(t.longest, t.sum/time.Duration(t.count)*time.Duration(s.Count))
}

// rebuildPasses is what rebuilding takes for each layer and token, in forward
// passes of the dense model: of both models, a layer once for all calibration
// tokens and once for each stage; the sums of what was seen; and least squares.
// On minilm-sst2 it was 4.
const rebuildPasses = 4

// rebuildLooks is how often outputs are compared for each layer: four stages, two
// or three ways each, of which half a model is run, or all of it for a loss.
const rebuildLooks = 5

// finishing is about what is left to do once a search is cut short, when a token
// takes so many seconds on its way through the dense model and outputs are compared on
// so many: one candidate is rebuilt, and judged by the search rows and those that accept.
func (r *pruning) finishing(token float64, guarded int) (rebuild, judge time.Duration) {
	layers := 0
	for _, op := range r.dense.Ops {
		if op.Kind == ir.Attention {
			layers++
		}
	}
	looks := rebuildLooks * guarded
	if r.model.Task == plan.CausalLM {
		looks *= 2
	}
	rebuilt := layers * (rebuildPasses*min(r.sample.tokens, rebuildTokens) + looks)
	judged := 0.0
	for _, p := range r.parts[:min(2, len(r.parts))] {
		judged += float64(p.rows(r.model.Task)) * float64(r.sample.tokens) / float64(len(r.sample.ids))
	}
	take := func(tokens float64) time.Duration { return time.Duration(token * tokens * float64(time.Second)) }
	return take(float64(rebuilt)), take(judged)
}
