package interp

import (
	"math"

	"etc/fault"
)

// linearNLL is a causal language model's loss by token, with
// logits = x·wᵀ + b of the token before it in its row:
//
//	nll[t] = log Σ exp(logits) − logits[ids[t]]
//	hit[t] = 1 where ids[t] is the lowest of the numbers of the largest logits, else 0
//
// Both are 0 for a row's first token.
func linearNLL(c *call) ([]*Array, error) {
	x, w, b, ids := c.arg("x"), c.arg("w"), c.arg("b"), c.arg("ids").I
	for _, id := range ids {
		if id < 0 || id >= w.rows() {
			return nil, fault.Newf(fault.Corrupt, "id %d: the vocabulary has %d", id, w.rows())
		}
	}
	nll, hit := zeros(len(ids)), zeros(len(ids))
	for r := range len(c.offsets) - 1 {
		from, to := c.offsets[r], c.offsets[r+1]
		before := &Array{Shape: []int{to - from - 1, x.width()}, F: x.F[from*x.width() : (to-1)*x.width()]}
		logits := c.product(before, w, b)
		for i := range logits.rows() {
			t := from + 1 + i
			nll.F[t], hit.F[t] = score(logits.Row(i), ids[t])
		}
	}
	return []*Array{nll, hit}, nil
}

func score(logits []float64, id int) (nll, hit float64) {
	best := 0
	for v, l := range logits {
		if l > logits[best] {
			best = v
		}
	}
	var s float64
	for _, l := range logits {
		s += math.Exp(l - logits[best])
	}
	if best == id {
		hit = 1
	}
	return logits[best] + math.Log(s) - logits[id], hit
}
