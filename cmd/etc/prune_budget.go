package main

import (
	"time"

	"etc/fault"
	"etc/ir"
)

// A budget ends a search so that what comes after it is done in time.
type budget struct {
	total  time.Duration
	end    time.Time
	finish time.Duration // what is set aside for the rest
	step   time.Duration // the longest between two questions
	asked  time.Time
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
	now := time.Now()
	return &budget{total: d, end: now.Add(d), asked: now}, nil
}

// setAside keeps what the rest takes, but leaves half of all to the search:
// without it there is nothing to finish.
func (b *budget) setAside(rest time.Duration) { b.finish = min(rest, b.total/2) }

// over tells whether another step would leave too little for the rest.
func (b *budget) over() bool {
	now := time.Now()
	b.step = max(b.step, now.Sub(b.asked))
	b.asked = now
	return now.Add(b.step + b.finish).After(b.end)
}

// rebuildPasses is what rebuilding takes for each layer and token, in forward
// passes of the dense model: of both models, a layer once for all calibration
// tokens and once for each stage; the sums of what was seen; and least squares.
// On minilm-sst2 it was 4.
const rebuildPasses = 4

// rebuildLooks is how often outputs are compared for each layer: four stages, two
// or three ways each, of which half a model is run.
const rebuildLooks = 5

// finishing is about what is left to do once a search is cut short, when a token
// takes so many seconds on its way through the dense model and outputs are compared on
// so many: one candidate is rebuilt, and judged by the search rows and those that accept.
func (r *pruning) finishing(token float64, guarded int) time.Duration {
	layers := 0
	for _, op := range r.dense.Ops {
		if op.Kind == ir.Attention {
			layers++
		}
	}
	tokens := float64(layers * (rebuildPasses*min(r.sample.tokens, rebuildTokens) + rebuildLooks*guarded))
	if r.data != nil {
		tokens += float64(len(r.data.Examples)) * float64(r.sample.tokens) / float64(len(r.sample.ids))
	}
	return time.Duration(token * tokens * float64(time.Second))
}
