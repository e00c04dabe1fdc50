package cpu

import (
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/formats/plan"
	"etc/formats/plan/layout"
)

// Operands of linear_nll.
const (
	nllX = iota
	nllW
	nllB
	nllIDs
	nllOffsets
)

// nllPanels is how many panels of the vocabulary are multiplied between two
// steps of the log-sum-exp. Part of the bits of a result, so fixed.
const nllPanels = 64

// nllTokens is how many tokens a task takes through the vocabulary.
const nllTokens = 32

// bindLinearNLL binds the loss of a causal language model: the vocabulary
// product of a token in blocks, whose logits are gathered into a log-sum-exp
// and forgotten. Token t predicts token t+1 of its row, so a task for tokens
// t writes results t+1; a row's first token has no loss.
func (d *Device) bindLinearNLL(s *plan.Step) (step, int) {
	w := d.weights[s.Args[nllW].Index].panels
	bias := d.vector(s, nllB)
	width := nllPanels * layout.Width
	st := step{
		Step: s,
		cut:  func(g *group) int { return (g.tokens() + nllTokens - 1) / nllTokens },
		task: func(g *group, worker, task int) {
			x, nll, hit := d.input(g, s, nllX), d.output(g, s, 0), d.output(g, s, 1)
			from, to := task*nllTokens, min((task+1)*nllTokens, x.Count)
			var sums [nllTokens]kernel.LogSumExp
			var targets [nllTokens]float32
			logits := d.scratch[worker]
			for first := 0; first < layout.Blocks(w.N); first += nllPanels {
				last := min(first+nllPanels, layout.Blocks(w.N))
				block := panelsOf(w, first, last)
				l := kernel.Linear{Rows: to - from, X: x.Data[from*x.Stride:], XStride: x.Stride, Y: logits, YStride: width}
				if bias != nil {
					l.Bias = bias[first*layout.Width:]
				}
				d.table.Dense(&l, block, 0, last-first)
				for i := range to - from {
					row := logits[i*width:][:block.N]
					d.table.Extend(&sums[i], row, first*layout.Width)
					if at := g.nextID(from+i) - first*layout.Width; at >= 0 && at < block.N {
						targets[i] = row[at]
					}
				}
			}
			g.storeNLL(nll, hit, from, sums[:to-from], targets[:])
		},
		macs: func(b *executor.Batch) int64 { return int64(len(b.IDs)) * int64(w.N) * int64(w.K) },
	}
	return st, nllTokens * width
}

// panelsOf is the part of w that holds the panels first to last.
func panelsOf(w layout.Panels, first, last int) layout.Panels {
	n := min(last*layout.Width, w.N) - first*layout.Width
	size := w.K * layout.Width
	return layout.Panels{N: n, K: w.K, Values: w.Values[first*size : last*size]}
}

// nextID is the id of the token after t in its row, or -1 after the last.
func (g *group) nextID(t int) int {
	if t+1 == len(g.IDs) || g.startsRow(t+1) {
		return -1
	}
	return int(g.IDs[t+1])
}

// startsRow reports whether token t is the first of its row.
func (g *group) startsRow(t int) bool {
	low, high := 0, g.rows()
	for low < high {
		mid := (low + high) / 2
		if int(g.Offsets[mid]) < t {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return int(g.Offsets[low]) == t
}

// storeNLL writes the results that the tokens from from on decide.
func (g *group) storeNLL(nll, hit Rows, from int, sums []kernel.LogSumExp, targets []float32) {
	put := func(to Rows, t int, v float32) {
		if to.Data != nil {
			to.Row(t)[0] = v
		}
	}
	for i := range sums {
		t := from + i
		if g.startsRow(t) {
			put(nll, t, 0)
			put(hit, t, 0)
		}
		next := g.nextID(t)
		if next < 0 {
			continue
		}
		right := float32(0)
		if sums[i].At == next {
			right = 1
		}
		put(nll, t+1, float32(sums[i].Value()-float64(targets[i])))
		put(hit, t+1, right)
	}
}
