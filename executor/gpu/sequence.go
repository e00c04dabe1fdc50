package gpu

import "etc/formats/plan"

// mostSequences bounds how many sequences are kept: each may be a CUDA graph,
// which takes memory of the device.
const mostSequences = 32

// A cache keeps the sequences used last. There are few: a scan finds one.
type cache struct {
	entries []entry // the one used last at the end
}

type entry struct {
	slot int
	shape
	sequence Sequence
}

func (c *cache) find(slot int, s shape) Sequence {
	for i, e := range c.entries {
		if e.slot == slot && e.shape == s {
			copy(c.entries[i:], c.entries[i+1:])
			c.entries[len(c.entries)-1] = e
			return e.sequence
		}
	}
	return nil
}

func (c *cache) add(slot int, s shape, q Sequence) {
	if len(c.entries) == mostSequences {
		c.entries[0].sequence.Close()
		c.entries = append(c.entries[:0], c.entries[1:]...)
	}
	c.entries = append(c.entries, entry{slot, s, q})
}

func (c *cache) clear() {
	for _, e := range c.entries {
		e.sequence.Close()
	}
	c.entries = nil
}

// clearSlot drops the sequences of one slot.
func (c *cache) clearSlot(slot int) {
	kept := c.entries[:0]
	for _, e := range c.entries {
		if e.slot == slot {
			e.sequence.Close()
		} else {
			kept = append(kept, e)
		}
	}
	c.entries = kept
}

// sequence is that of a shape in a slot, made on first use.
func (d *Device) sequence(at int, sh shape) (Sequence, error) {
	if q := d.cache.find(at, sh); q != nil {
		return q, nil
	}
	b := &binding{Device: d, shape: sh, slot: &d.slots[at], block: blockOf(sh)}
	q, err := d.driver.Prepare(b.operations())
	if err == nil {
		d.cache.add(at, sh, q)
	}
	return q, err
}

// operations are the launches of the steps that the wanted outputs need, and a
// copy of each wanted tap as it passes by.
func (b *binding) operations() []Operation {
	var ops []Operation
	for i := range b.program.Steps {
		if b.program.Steps[i].Needed&b.wanted == 0 {
			continue
		}
		ops = append(ops, b.launches(i)...)
		for j, o := range b.program.Outputs {
			if o.When == plan.Tap && o.After == i && b.wanted>>j&1 != 0 {
				ops = append(ops, Operation{
					Label: o.Name, Step: i, From: b.bufferAt(o.Buffer, b.shape), To: b.slot.taps + Address(b.tapAt(j, b.shape)),
					Bytes: int64(b.outputBytes(j, b.tokens, b.rows)),
				})
			}
		}
	}
	return ops
}
