package cpu

import (
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

// bindLinearNLL binds the loss of a causal language model: the vocabulary
// product of a token in blocks, whose logits are gathered into a log-sum-exp
// and forgotten. Token t predicts token t+1 of its row, so a task for tokens
// t writes results t+1; a row's first token has no loss.
func (d *Device) bindLinearNLL(s *plan.Step) (step, int) {
	w := d.weights[s.Args[nllW].Index].panels
	bias := d.vector(s, nllB)
	width := nllPanels * layout.Width
	var x, nll, hit Rows
	st := step{
		Step: s,
		cut: func() int {
			x, nll, hit = d.input(s, nllX), d.output(s, 0), d.output(s, 1)
			return (x.Count + lines - 1) / lines
		},
		task: func(worker, task int) {
			from, to := task*lines, min((task+1)*lines, x.Count)
			var sums [lines]kernel.LogSumExp
			var targets [lines]float32
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
					if at := d.nextID(from+i) - first*layout.Width; at >= 0 && at < block.N {
						targets[i] = row[at]
					}
				}
			}
			d.storeNLL(nll, hit, from, sums[:to-from], targets[:])
		},
		macs: func() int64 { return int64(d.tokens()) * int64(w.N) * int64(w.K) },
	}
	return st, lines * width
}

// panelsOf is the part of w that holds the panels first to last.
func panelsOf(w layout.Panels, first, last int) layout.Panels {
	n := min(last*layout.Width, w.N) - first*layout.Width
	size := w.K * layout.Width
	return layout.Panels{N: n, K: w.K, Values: w.Values[first*size : last*size]}
}

// nextID is the id of the token after t in its row, or -1 after the last.
func (d *Device) nextID(t int) int {
	if t+1 == len(d.batch.IDs) || d.startsRow(t+1) {
		return -1
	}
	return int(d.batch.IDs[t+1])
}

// startsRow reports whether token t is the first of its row.
func (d *Device) startsRow(t int) bool {
	low, high := 0, d.rows()
	for low < high {
		mid := (low + high) / 2
		if int(d.batch.Offsets[mid]) < t {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return int(d.batch.Offsets[low]) == t
}

// storeNLL writes the results that the tokens from from on decide.
func (d *Device) storeNLL(nll, hit Rows, from int, sums []kernel.LogSumExp, targets []float32) {
	put := func(to Rows, t int, v float32) {
		if to.Data != nil {
			to.Row(t)[0] = v
		}
	}
	for i := range sums {
		t := from + i
		if d.startsRow(t) {
			put(nll, t, 0)
			put(hit, t, 0)
		}
		next := d.nextID(t)
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
