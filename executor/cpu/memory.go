package cpu

import (
	"etc/fault"
	"etc/formats/plan"
)

// reserve is what a process needs besides arena and weights: code, windows
// of rows, tokenizer.
const reserve = 32 << 20

// sizes are the bytes that the wanted outputs take for each token and for
// each row of a batch: the steps' arenas, and the results copied out of them.
type sizes struct {
	known          bool
	wanted         uint64
	arena, results [2]int
}

// sizesOf remembers the last answer: a run wants the same in every batch.
func (d *Device) sizesOf(wanted uint64) *sizes {
	s := &d.sizes
	if s.known && s.wanted == wanted {
		return s
	}
	*s = sizes{known: true, wanted: wanted}
	s.arena[0], s.arena[1] = d.program.ArenaBytes(wanted)
	for i, o := range d.program.Outputs {
		if wanted>>i&1 != 0 {
			b := d.program.Buffers[o.Buffer]
			s.results[b.Rows-plan.PerToken] += b.Width * elementBytes
		}
	}
	return s
}

// checkMemory refuses a batch for which there is no memory. What was checked
// once counts as had.
func (d *Device) checkMemory(tokens, rows int, wanted uint64) error {
	s := d.sizesOf(wanted)
	heldTokens, heldRows := d.mostInArena(tokens, rows)
	need := int64(0)
	for i, n := range [2]int{heldTokens, heldRows} {
		need += int64(s.arena[i]) * int64(n)
		if d.intBytes[i] > 0 {
			need += int64(d.intBytes[i]+elementBytes) * int64(n) // the integers and their unit
		}
	}
	if d.options.Threads > 1 {
		need += min(need, mostMoved) // what a group may be moved to
	}
	need += int64(s.results[0])*int64(tokens) + int64(s.results[1])*int64(rows)
	need += int64(d.scratchSize)*elementBytes*int64(d.options.Threads) + int64(len(d.program.Data)) + reserve
	if need <= d.checked {
		return nil
	}
	if have := d.available(); have > 0 && need-d.checked > have {
		return fault.Newf(fault.Memory, "a batch of %d tokens needs %d MB with the weights, %d MB are free", tokens, need>>20, (have+d.checked)>>20).
			WithHint("a smaller --max-batch-tokens needs less")
	}
	d.checked = need
	return nil
}
