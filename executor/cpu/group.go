package cpu

import (
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/plan"
)

// groupTokens is how many tokens a group has where there are enough: so few
// that the activations of a group stay in the second-level cache of the core
// that takes it through all steps, so many that going over the weights once for
// each group costs little.
const groupTokens = 128

// A group is some rows of a batch, one after another, on their way through the
// steps. Groups know nothing of each other. A batch of few tokens is one group,
// whose steps all threads share; one of many is groups that threads go through
// alone, one after another in the same part of the arena, a lane, which stays in
// their caches. A row's bits are the same in either.
type group struct {
	device         *Device
	lane           int
	executor.Batch // views of the device's batch, but Offsets count from 0
	firstToken     int
	firstRow       int
	arena          [2][]float32                     // per token, per row: the lane's
	queries        []queryBlock                     // of attention over all queries
	begun          bool                             // a group is in this lane
	step           int                              // the one that is being run, -1 before the first
	task           func(g *group, worker, task int) // of that step, or of its first phase
	inFirst        bool                             // the first phase is what is being run
	joined         int                              // the step whose first phase the one before it has done
	ints           kernel.Quantised                 // the lane's, for inputs of one product at a time
	grid           grid                             // of that step, if it is a product
	attention      []int                            // of that step: the first item of each task
	tasks          int                              // of that step
	macs           int64                            // of that step
}

// Do does a task of the step that the group is at.
func (g *group) Do(worker, task int) {
	if g.device.options.Profile != nil {
		g.device.timed(g, worker, task)
		return
	}
	g.task(g, worker, task)
}

func (g *group) tokens() int           { return len(g.IDs) }
func (g *group) rows() int             { return len(g.Offsets) - 1 }
func (g *group) rowLength(row int) int { return int(g.Offsets[row+1] - g.Offsets[row]) }

// count is the number of rows of a buffer in this group.
func (g *group) count(r plan.Rows) int {
	if r == plan.PerRow {
		return g.rows()
	}
	return g.tokens()
}

// cutGroups cuts the batch into groups of about equal size.
func (d *Device) cutGroups() {
	b := d.batch
	tokens, rows := len(b.IDs), len(b.Offsets)-1
	n := max(1, min(tokens/groupTokens, rows))
	if d.options.Observe != nil {
		n = 1 // observers want to see a batch at once
	}
	d.cuts = append(d.cuts[:0], 0)
	for i := range n {
		to := d.cuts[len(d.cuts)-1]
		from := to
		for to < rows && int(b.Offsets[to])*n < tokens*(i+1) {
			to++
		}
		if to > from {
			d.cuts = append(d.cuts, to)
		}
	}
	d.began.Store(0)
}

// groupCount is the number of groups that the batch was cut into.
func (d *Device) groupCount() int { return len(d.cuts) - 1 }

// largestGroup is the tokens and the rows of the groups that have most.
func (d *Device) largestGroup() (tokens, rows int) {
	for i := range d.groupCount() {
		from, to := d.cuts[i], d.cuts[i+1]
		tokens, rows = max(tokens, int(d.batch.Offsets[to]-d.batch.Offsets[from])), max(rows, to-from)
	}
	return tokens, rows
}

// mostInArena bounds the tokens and rows that the arena holds at once for a batch of so
// many, by how batches are cut: in each lane there is place for the largest group, which
// has a share of the tokens and the end of one row more.
func (d *Device) mostInArena(tokens, rows int) (mostTokens, mostRows int) {
	if d.options.Observe != nil {
		return tokens, rows
	}
	longest := longestRow(d.program)
	lanes := max(1, min(d.options.Threads, tokens/groupTokens, rows, pool.MaxChains))
	held := lanes * min(tokens, max(2*groupTokens, longest)+longest)
	return held, min(lanes*rows, held)
}

// layLanes makes a lane for each thread that takes groups alone, with place
// for the largest of them.
func (d *Device) layLanes() {
	d.lanes = min(d.groupCount(), d.options.Threads, pool.MaxChains)
	d.sharing = (d.options.Threads + d.lanes - 1) / d.lanes
	d.makeRoom()
	for lane := range d.lanes {
		if lane == len(d.groups) {
			d.groups = append(d.groups, &group{device: d, lane: lane})
		}
		g := d.groups[lane]
		d.room.lay(g, &d.extent)
		g.begun, g.inFirst, g.step = false, false, len(d.steps)
	}
}

// beginGroup puts the next group of the batch into g, if one is left.
func (d *Device) beginGroup(g *group) bool {
	i := int(d.began.Add(1)) - 1
	if i >= d.groupCount() {
		return false
	}
	b, from, to := d.batch, d.cuts[i], d.cuts[i+1]
	first, last := int(b.Offsets[from]), int(b.Offsets[to])
	g.firstToken, g.firstRow, g.step, g.joined = first, from, -1, -1
	g.Bucket, g.Wanted = b.Bucket, b.Wanted
	g.IDs, g.Types, g.Positions = b.IDs[first:last], part(b.Types, first, last), part(b.Positions, first, last)
	g.Offsets = g.Offsets[:0]
	for _, o := range b.Offsets[from : to+1] {
		g.Offsets = append(g.Offsets, o-int32(first))
	}
	g.cutQueries()
	return true
}

// part is v from first to last, nil where there is none.
func part(v []int32, first, last int) []int32 {
	if v == nil {
		return nil
	}
	return v[first:last]
}

// view is buffer i of a group.
func (d *Device) view(g *group, i int) Rows {
	b := &d.program.Buffers[i]
	n := g.count(b.Rows)
	from := b.Offset / elementBytes * n
	return Rows{g.arena[b.Rows-plan.PerToken][from : from+n*b.Stride/elementBytes], n, b.Width, b.Stride / elementBytes}
}

// input is the view of operand i of s, which is a buffer.
func (d *Device) input(g *group, s *plan.Step, i int) Rows { return d.view(g, s.Args[i].Index) }

// optional is input, empty where the operand is absent.
func (d *Device) optional(g *group, s *plan.Step, i int) Rows {
	if s.Args[i].Kind == plan.None {
		return Rows{}
	}
	return d.input(g, s, i)
}

// output is the view of result i, empty where nothing reads it.
func (d *Device) output(g *group, s *plan.Step, i int) Rows {
	if s.Results[i] == plan.Unused {
		return Rows{}
	}
	return d.view(g, s.Results[i])
}
