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

// reset keeps the slices for reuse and takes over what identifies the row.
func (r *Result) reset(row *rows.Row) {
	r.ID, r.Line, r.Err = row.ID, row.Line, row.Err
	r.Last = false
	r.Tokens, r.Class, r.Hits, r.NLL, r.Scored, r.Score, r.Label = 0, 0, 0, 0, 0, 0, ""
}

// A head turns the outputs of a batch into the fields of results.
type head struct {
	model   *plan.Model
	want    Want
	outputs []string // names, by index
	scratch []float32
}

// fill sets the fields of r from row number row of the batch.
func (h *head) fill(r *Result, b *Batch, row int) {
	from, to := int(b.Offsets[row]), int(b.Offsets[row+1])
	r.Tokens = to - from
	r.Task = taskOf(h.model.Task)
	for i, name := range h.outputs {
		if b.Wanted>>i&1 == 0 {
			continue
		}
		out := b.Results[i]
		tokens, rowCount := len(b.IDs), len(b.Offsets)-1
		switch {
		case name == "logits" && h.model.Task == plan.CausalLM:
			r.TokenLogits = part(r.TokenLogits, out, tokens, from, to)
		case name == "logits":
			r.Logits = part(rows.Matrix{Data: r.Logits}, out, rowCount, row, row+1).Data
			h.classify(r)
		case name == "embedding":
			r.Vector = part(rows.Matrix{Data: r.Vector}, out, rowCount, row, row+1).Data
		case name == "hidden":
			r.Hidden = part(r.Hidden, out, tokens, from, to)
		case name == "last_logits":
			r.LastLogits = part(rows.Matrix{Data: r.LastLogits}, out, rowCount, row, row+1).Data
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

// part copies lines from to to of out, which has n lines, over dst.
func part(dst rows.Matrix, out []float32, n, from, to int) rows.Matrix {
	width := len(out) / n
	return rows.Matrix{Data: append(dst.Data[:0], out[from*width:to*width]...), Width: width}
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
	if h.want.Probabilities {
		r.Probabilities = append(r.Probabilities[:0], p...)
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
	for _, v := range [][]float32{r.Logits, r.Vector, r.Hidden.Data, r.TokenLogits.Data, r.LastLogits, {r.NLL, r.Score}} {
		for _, x := range v {
			if x-x != 0 {
				return false
			}
		}
	}
	return true
}
