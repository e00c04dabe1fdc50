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

// An extent is what a group takes up in a room.
type extent struct {
	arena        [2]int // values per token, per row
	bytes, units int    // of inputs of products in integers
}

// size is in bytes.
func (e *extent) size() int {
	return elementBytes*(e.arena[0]+e.arena[1]+e.units) + e.bytes
}

// extentOf is for groups of up to so many tokens and rows.
func (d *Device) extentOf(tokens, rows int) (e extent) {
	size := d.sizesOf(d.batch.Wanted).arena
	for i, n := range [2]int{tokens, rows} {
		e.arena[i] = n * size[i] / elementBytes
		if d.intBytes[i] > 0 {
			e.bytes, e.units = max(e.bytes, n*d.intBytes[i]), max(e.units, n)
		}
	}
	return e
}

// A room is what groups compute in.
type room struct {
	arena [2][]float32     // per token, per row
	ints  kernel.Quantised // inputs of products in integers, by lane
}

// holds reports whether there is place for so many groups.
func (r *room) holds(e *extent, lanes int) bool {
	return len(r.arena[0]) >= lanes*e.arena[0] && len(r.arena[1]) >= lanes*e.arena[1] &&
		len(r.ints.Data) >= lanes*e.bytes && len(r.ints.Units) >= lanes*e.units
}

// grow makes place for so many groups. What was too small is let go first.
func (r *room) grow(e *extent, lanes int) {
	for i, n := range e.arena {
		if a := &r.arena[i]; len(*a) < lanes*n {
			*a = nil
			*a = alignedFloats(lanes * n)
		}
	}
	if len(r.ints.Data) < lanes*e.bytes {
		r.ints.Data = nil
		r.ints.Data = bytesOf(alignedFloats(lanes * e.bytes / elementBytes)) // whole cache lines, as rows are
	}
	if len(r.ints.Units) < lanes*e.units {
		r.ints.Units = make([]float32, lanes*e.units)
	}
}

// lay gives g its place, that of its lane.
func (r *room) lay(g *group, e *extent) {
	for i, n := range e.arena {
		g.arena[i] = r.arena[i][g.lane*n : (g.lane+1)*n]
	}
	g.ints.Data = r.ints.Data[g.lane*e.bytes : (g.lane+1)*e.bytes]
	g.ints.Units = r.ints.Units[g.lane*e.units : (g.lane+1)*e.units]
}

// A spare is where a group is moved to, and after that what it left.
type spare struct {
	room
	group *group
	first bool // it is the room that batches of several lanes take, which may be large
}

// makeRoom makes place for the groups of a batch, and for what one of them may be moved to.
func (d *Device) makeRoom() {
	e := &d.extent
	*e = d.extentOf(d.largestGroup())
	if d.spare.first && !d.room.holds(e, d.lanes) {
		d.pool.Settle() // a thread may be in there still
		d.swapRooms()
	}
	d.room.grow(e, d.lanes)
	d.movable = d.lanes == 1 && d.options.Threads > 1 && e.size() <= mostMoved &&
		d.options.Observe == nil && d.options.Profile == nil && !raceDetector
	if d.movable {
		d.spare.grow(e, 1)
	}
}

func (d *Device) swapRooms() {
	d.room, d.spare.room = d.spare.room, d.room
	d.spare.first = !d.spare.first
}

// patience is how long others wait for a task of the step that g is at before they
// do it again, 0 where that is not possible.
func (d *Device) patience(g *group) time.Duration {
	if !d.movable || !d.steps[g.step].repeatable {
		return 0
	}
	rate := float64(slowRate)
	if d.options.Level == kernel.Generic {
		rate = slowGeneric
	}
	return leastPatience + time.Duration(float64(g.macs)/float64(g.tasks)/rate)
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
	to.lay(o, &d.extent)
	for i, from := range g.arena {
		copy(o.arena[i], from)
	}
	copy(o.ints.Data, g.ints.Data)
	copy(o.ints.Units, g.ints.Units)

	d.swapRooms()
	d.groups[g.lane], to.group = o, g
	return o
}
