package gpu

import (
	"etc/fault"
	"etc/formats/plan"
)

// need is what batches of a shape share: both arenas, and the workspace of the
// step that needs most. The workspace follows from the operators, never from
// what the plan says of it.
func (d *Device) need(s shape) capacity {
	token, row := d.program.ArenaBytes(s.wanted)
	c := capacity{arena: [2]int64{int64(token) * int64(s.tokens), int64(row) * int64(s.rows)}}
	for b := range d.program.Buckets {
		for i := range d.program.Steps {
			if d.program.Steps[i].Needed&s.wanted != 0 {
				c.work = max(c.work, d.workspace(i, b)*int64(s.tokens))
			}
		}
	}
	return c
}

// workspace is the bytes a token that step i needs for rows of bucket b.
func (d *Device) workspace(i, b int) int64 {
	s := &d.program.Steps[i]
	switch op, _ := stepOf(d.program, i, b); op {
	case plan.PartialOTFAttention:
		return int64(s.Params.Heads) * int64(d.scoresStride(b)) * 4
	case plan.VOAttention:
		return int64(d.valuesStride(s)) * 2
	case plan.LinearNLL:
		return int64(d.nllChunks(i)) * nllPartial
	}
	return 0
}

// checkMemory refuses what the device's free memory does not hold: the weights
// that steps read, and all that batches of up to maxTokens tokens take.
func (d *Device) checkMemory(maxTokens int, wanted uint64) error {
	need := int64(0)
	for _, i := range d.program.UsedWeights() {
		need += d.program.Weights[i].Size
	}
	sh := largest(maxTokens, wanted)
	return d.fits(need+d.need(sh).bytes()+Slots*(int64(blockOf(sh).size)+d.tapBytes(sh)), maxTokens)
}

// largest is the shape that serves all batches of up to so many tokens.
func largest(maxTokens int, wanted uint64) shape {
	return shape{tokens: classOf(maxTokens, leastTokens), rows: classOf(maxTokens, 1), wanted: wanted}
}

// fits refuses more bytes than are free.
func (d *Device) fits(bytes int64, tokens int) error {
	free, total := d.driver.Memory()
	if total == 0 || bytes <= free {
		return nil
	}
	return fault.Newf(fault.Memory, "batches of %d tokens need %d MB on %s, %d MB are free", tokens, (bytes+1<<20-1)>>20, d.Name(), free>>20).
		WithHint("a smaller --max-batch-tokens needs less")
}

// reserve makes the shared memory large enough for batches of that shape.
// Sequences made before hold old addresses and are let go.
func (d *Device) reserve(s shape) error {
	need := d.need(s)
	if need.arena[0] <= d.capacity.arena[0] && need.arena[1] <= d.capacity.arena[1] && need.work <= d.capacity.work {
		return nil
	}
	need = capacity{[2]int64{max(need.arena[0], d.capacity.arena[0]), max(need.arena[1], d.capacity.arena[1])}, max(need.work, d.capacity.work)}
	if err := d.fits(need.bytes()-d.capacity.bytes(), s.tokens); err != nil {
		return err
	}
	if err := d.idle(); err != nil {
		return err
	}
	d.cache.clear()
	d.freeShared()
	for _, part := range []struct {
		name  string
		at    *Address
		bytes int64
	}{{"activations of tokens", &d.arena[0], need.arena[0]}, {"activations of rows", &d.arena[1], need.arena[1]}, {"workspace", &d.work, need.work}} {
		if part.bytes == 0 {
			continue
		}
		var err error
		if *part.at, err = d.driver.Alloc(part.name, part.bytes); err != nil {
			return err
		}
	}
	d.capacity = need
	return nil
}

// idle waits for what is under way.
func (d *Device) idle() error {
	for i := range d.slots {
		if d.slots[i].batch != nil {
			if err := d.driver.Wait(i); err != nil {
				return err
			}
		}
	}
	return nil
}
