package executor

import (
	"math"

	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
)

// A Result is the answer for one row, and what evaluation needs besides.
type Result struct {
	rows.Result
	Tokens int  // in the row, special ones included
	Class  int  // index of the largest logit of a classification
	Hits   int  // tokens of a causal LM that were the most likely one
	Last   bool // of its window: what was written should be flushed
}

// A head turns the outputs of a batch into the fields of results. The numbers
// of all results of a window lie in its values.
type head struct {
	model         *plan.Model
	probabilities bool
	outputs       []string // names, by index
	values        *store[float32]
	scratch       []float32
}

// fill sets the fields of r from row number row of the batch.
func (h *head) fill(r *Result, b *Batch, row int) {
	from, to := int(b.Offsets[row]), int(b.Offsets[row+1])
	r.Tokens, r.Task = to-from, taskOf(h.model.Task)
	tokens := lines{len(b.IDs), from, to}
	one := lines{len(b.Offsets) - 1, row, row + 1}
	for i, name := range h.outputs {
		if b.Wanted>>i&1 == 0 {
			continue
		}
		out := b.Results[i]
		switch {
		case name == "logits" && h.model.Task == plan.CausalLM:
			r.TokenLogits = h.keep(out, tokens)
		case name == "logits":
			r.Logits = h.keep(out, one).Data
			h.classify(r)
		case name == "embedding":
			r.Vector = h.keep(out, one).Data
		case name == "hidden":
			r.Hidden = h.keep(out, tokens)
		case name == "last_logits":
			r.LastLogits = h.keep(out, one).Data
		case name == "nll":
			r.NLL, r.Scored = float32(sum(out[from:to])), to-from-1
		case name == "hit":
			r.Hits = int(sum(out[from:to]))
		}
	}
	if !r.finite() {
		r.Err = fault.Newf(fault.Corrupt, "result is not finite")
	}
}

// lines are from to to of all the lines of an output.
type lines struct{ all, from, to int }

// keep copies lines of out.
func (h *head) keep(out []float32, l lines) rows.Matrix {
	width := len(out) / l.all
	return rows.Matrix{Data: h.values.keep(out[l.from*width : l.to*width]), Width: width}
}

// sum adds in float64, in order.
func sum(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x)
	}
	return s
}

func taskOf(t plan.Task) rows.Task {
	switch t {
	case plan.Embedding:
		return rows.Embedding
	case plan.CausalLM:
		return rows.CausalLM
	}
	return rows.Classification
}

// classify sets label, score and probabilities from logits: softmax for one
// label of several, sigmoid where each label stands by itself, the raw value
// for a regression. Sums are in float64.
func (h *head) classify(r *Result) {
	r.Class = 0
	for i, x := range r.Logits {
		if x > r.Logits[r.Class] {
			r.Class = i
		}
	}
	r.Label = h.model.Labels[r.Class]
	h.scratch = append(h.scratch[:0], r.Logits...)
	p := h.scratch
	switch h.model.Task {
	case plan.Regression:
		r.Score = r.Logits[0]
	case plan.MultiLabel:
		for i, x := range r.Logits {
			p[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
		r.Score = p[r.Class]
	default:
		softmax(p)
		r.Score = p[r.Class]
	}
	if h.probabilities {
		r.Probabilities = h.values.keep(p)
	}
}

func softmax(p []float32) {
	top, total := float64(p[0]), 0.0
	for _, x := range p {
		top = max(top, float64(x))
	}
	for _, x := range p {
		total += math.Exp(float64(x) - top)
	}
	for i, x := range p {
		p[i] = float32(math.Exp(float64(x)-top) / total)
	}
}

func (r *Result) finite() bool {
	for _, v := range [...][]float32{r.Logits, r.Vector, r.Hidden.Data, r.TokenLogits.Data, r.LastLogits, {r.NLL, r.Score}} {
		for _, x := range v {
			if x-x != 0 { // NaN, or an infinity
				return false
			}
		}
	}
	return true
}
