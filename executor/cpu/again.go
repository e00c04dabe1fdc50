package cpu

import (
	"time"

	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/plan"
)

// Where all threads share the steps of one group, a thread that the system has
// taken off its CPU keeps the others waiting, for milliseconds, with the one task
// that it has. The pool then has the group moved: into the other of two
// rooms, where that task is done again. The thread that comes back ends it in the
// old one, where nobody looks any more.

const (
	// leastPatience is many times what a task takes whose multiply-adds do not
	// count, and little beside what a thread is off its CPU.
	leastPatience = 100 * time.Microsecond
	// slowRate is a fifth of the multiply-adds that a core with AVX2 does in a
	// nanosecond, and slowGeneric that of portable Go.
	slowRate, slowGeneric = 10, 0.1
	// mostMoved is the size of the largest group that is moved, in bytes: to copy more takes
	// as long as a time slice.
	mostMoved = 8 << 20
)

// A room is what groups compute in.
type room struct {
	arena [2][]float32     // per token, per row
	ints  kernel.Quantised // inputs of products in integers, by lane
}

// grow makes arena i one of at least n values. The old one is let go first.
func (r *room) grow(i, n int) {
	if a := &r.arena[i]; len(*a) < n {
		*a = nil
		*a = alignedFloats(n)
	}
}

// growInts makes room for so many bytes, in whole cache lines, and units.
func (r *room) growInts(bytes, units int) {
	if len(r.ints.Data) < bytes {
		r.ints.Data = nil
		r.ints.Data = bytesOf(alignedFloats(bytes / elementBytes))
	}
	if len(r.ints.Units) < units {
		r.ints.Units = make([]float32, units)
	}
}

// A spare is where a group is moved to, and after that what it left.
type spare struct {
	room
	group *group
}

// patience is how long others wait for a task of the step that g is at before they
// do it again, 0 where that is not possible.
func (d *Device) patience(g *group) time.Duration {
	if d.lanes > 1 || d.options.Threads == 1 || !d.steps[g.step].repeatable || g.bytes() > mostMoved ||
		d.options.Observe != nil || d.options.Profile != nil || raceDetector {
		return 0
	}
	rate := float64(slowRate)
	if d.options.Level == kernel.Generic {
		rate = slowGeneric
	}
	return leastPatience + time.Duration(float64(g.macs)/float64(g.tasks)/rate)
}

// bytes is the size of what a group computes in.
func (g *group) bytes() int {
	return elementBytes*(len(g.arena[0])+len(g.arena[1])+len(g.ints.Units)) + len(g.ints.Data)
}

// repeatable reports whether a task of s can be done again after it was done in
// part, and while the caller has gone on: its results lie over none of its operands,
// and it does not look at ids.
func (d *Device) repeatable(s *plan.Step) bool {
	switch s.Op {
	case plan.Embed, plan.EmbedLayerNorm, plan.LinearNLL:
		return false
	}
	for _, r := range s.Results {
		for _, a := range s.Args {
			if r != plan.Unused && a.Kind == plan.FromBuffer && overlap(&d.program.Buffers[r], &d.program.Buffers[a.Index]) {
				return false
			}
		}
	}
	return true
}

// overlap reports whether two buffers share memory.
func overlap(a, b *plan.Buffer) bool {
	return a.Rows == b.Rows && a.Offset < b.Offset+b.Stride && b.Offset < a.Offset+a.Stride
}

// Again moves the group of the only lane. Tasks of its step may be running: what
// they write is copied in part, and written whole when they are done again.
func (g *group) Again() pool.Job {
	d := g.device
	to := &d.spare
	if to.group == nil {
		to.group = &group{}
	}
	o, offsets, queries, attention := to.group, to.group.Offsets, to.group.queries, to.group.attention
	*o = *g
	o.Offsets = append(offsets[:0], g.Offsets...)
	o.queries = append(queries[:0], g.queries...)
	o.attention = append(attention[:0], g.attention...)
	for i, from := range g.arena {
		to.grow(i, len(from))
		o.arena[i] = to.arena[i][:len(from)]
		copy(o.arena[i], from)
	}
	to.growInts(len(g.ints.Data), len(g.ints.Units))
	o.ints.Data, o.ints.Units = to.ints.Data[:len(g.ints.Data)], to.ints.Units[:len(g.ints.Units)]
	copy(o.ints.Data, g.ints.Data)
	copy(o.ints.Units, g.ints.Units)

	d.room, to.room = to.room, d.room
	d.groups[g.lane], to.group = o, g
	return o
}
