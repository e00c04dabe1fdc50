package plan

import "slices"

// lives checks that no two buffers which are live at once share a byte of the
// arena. A buffer lives from the step that writes it to the last that reads
// it, both included, so no step writes over what it reads; one that is an
// output lives to the end, but a tap leaves at once.
//
// Both arenas are swept step by step over the extents that are live.
func (c *programChecker) lives() error {
	end := slices.Clone(c.lastRead)
	for _, o := range c.program.Outputs {
		if o.When != Tap {
			end[o.Buffer] = len(c.program.Steps)
		}
	}
	// dying has, for each step, the first of the buffers that end with it;
	// next has the one after each buffer.
	dying := slices.Repeat([]int{-1}, len(c.program.Steps)+1)
	next := make([]int, len(end))
	for b, step := range end {
		dying[step], next[b] = b, dying[step]
	}
	arenas := []*extents{PerToken: newExtents(c.program.Buffers, PerToken), PerRow: newExtents(c.program.Buffers, PerRow)}
	for i := range c.program.Steps {
		s := &c.program.Steps[i]
		for _, r := range s.Results {
			if r == Unused {
				continue
			}
			b := c.program.Buffers[r]
			if !arenas[b.Rows].add(b) {
				return refuse("step %d (%v %q): buffer %d lies over buffer %d, which is still live", i, s.Op, s.Label, r, c.liveUnder(r, i, end))
			}
		}
		for b := dying[i]; b >= 0; b = next[b] {
			arenas[c.program.Buffers[b].Rows].remove(c.program.Buffers[b])
		}
	}
	return nil
}

// liveUnder is the first buffer that is live at step and shares a byte with buffer r.
func (c *programChecker) liveUnder(r, step int, end []int) int {
	b := c.program.Buffers[r]
	for i, o := range c.program.Buffers {
		if i != r && c.definedBy[i] <= step && step <= end[i] && o.Rows == b.Rows &&
			o.Stride > 0 && o.Offset < b.Offset+b.Stride && b.Offset < o.Offset+o.Stride {
			return i
		}
	}
	panic("bug: plan: an extent is taken by no buffer")
}
