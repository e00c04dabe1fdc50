package cpu

import (
	"etc/executor"
	"etc/executor/cpu/pool"
	"etc/formats/plan"
)

// groupTokens is how many tokens a group has where there are enough: so few
// that the activations of a group stay in the second-level cache of the core
// that takes it through all steps, so many that going over the weights once for
// each group costs little.
const groupTokens = 128

// A group is some rows of a batch, one after another, on their way through the
// steps. Groups know nothing of each other: each has its part of the arena, laid
// out for its own tokens, so that one may be steps ahead of another. A batch of
// few tokens is one group, whose steps all threads share; one of many is groups
// that threads go through alone. A row's bits are the same in either.
type group struct {
	executor.Batch // views of the device's batch, but Offsets count from 0
	firstToken     int
	firstRow       int
	arena          [2][]float32 // per token, per row
	queries        []queryBlock // of attention over all queries
	threads        int          // that are expected to share its steps
	step           int          // the one that is being run
	grid           grid         // of that step, if it is a product
	attention      []int        // of that step: the first query block of each task
	tasks          int          // of that step
	macs           int64        // of that step
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
	n := max(1, min(tokens/groupTokens, rows, pool.MaxChains))
	if d.options.Observe != nil {
		n = 1 // observers want to see a batch at once
	}
	d.count = 0
	for i, from := 0, 0; i < n; i++ {
		to := from
		for to < rows && int(b.Offsets[to])*n < tokens*(i+1) {
			to++
		}
		if i == n-1 {
			to = rows
		}
		if to > from {
			d.addGroup(from, to)
		}
		from = to
	}
	threads := (d.options.Threads + d.count - 1) / d.count
	for i := range d.count {
		d.groups[i].threads = threads
	}
}

// addGroup makes the next group of the rows from to to.
func (d *Device) addGroup(from, to int) {
	if d.count == len(d.groups) {
		d.groups = append(d.groups, &group{})
	}
	g, b := d.groups[d.count], d.batch
	d.count++
	first, last := int(b.Offsets[from]), int(b.Offsets[to])
	g.firstToken, g.firstRow, g.step = first, from, -1
	g.Bucket, g.Wanted = b.Bucket, b.Wanted
	g.IDs, g.Types, g.Positions = b.IDs[first:last], part(b.Types, first, last), part(b.Positions, first, last)
	g.Offsets = g.Offsets[:0]
	for _, o := range b.Offsets[from : to+1] {
		g.Offsets = append(g.Offsets, o-int32(first))
	}
	for i, at := range [2][2]int{{first, last}, {from, to}} {
		size := d.sizesOf(b.Wanted).arena[i] / elementBytes
		g.arena[i] = d.arena[i][at[0]*size : at[1]*size]
	}
	g.cutQueries()
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
