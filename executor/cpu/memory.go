package cpu

import (
	"etc/fault"
)

// reserve is what a process needs besides arena and weights: code, windows
// of rows, tokenizer.
const reserve = 32 << 20

// checkMemory refuses a plan whose arena, at the largest batch, cannot be had.
func (d *Device) checkMemory(maxTokens int) error {
	var always uint64
	for i, o := range d.plan.Outputs {
		if o.When == 0 {
			always |= 1 << i
		}
	}
	perToken, perRow := d.plan.ArenaBytes(always)
	need := int64(perToken+perRow)*int64(maxTokens) + int64(len(d.plan.Data)) + reserve
	if have := available(); have > 0 && need > have {
		return fault.Newf(fault.Memory, "a batch of %d tokens needs %d MB with the weights, %d MB are free", maxTokens, need>>20, have>>20).
			WithHint("a smaller --max-batch-tokens needs less")
	}
	return nil
}
