package plan

import "slices"

// extents is a set of disjoint ranges of bytes, over the bounds of all that
// may come: a segment tree in which each node counts the ranges that cover it
// whole, and knows whether any lies in it.
type extents struct {
	bounds []int // ascending; leaf i is from bounds[i] to bounds[i+1]
	cover  []int
	inside []bool
}

// newExtents is empty, and takes the extents of those buffers that have rows.
func newExtents(buffers []Buffer, rows Rows) *extents {
	var x extents
	for _, b := range buffers {
		if b.Rows == rows {
			x.bounds = append(x.bounds, b.Offset, b.Offset+b.Stride)
		}
	}
	slices.Sort(x.bounds)
	x.bounds = slices.Compact(x.bounds)
	// Halving gives a tree of fewer than four times as many nodes as leaves.
	x.cover = make([]int, 4*len(x.bounds))
	x.inside = make([]bool, 4*len(x.bounds))
	return &x
}

// add adds the extent of b and reports whether it was free.
func (x *extents) add(b Buffer) bool {
	from, to := x.leaves(b)
	if x.taken(1, 0, len(x.bounds)-1, from, to) {
		return false
	}
	x.change(1, 0, len(x.bounds)-1, from, to, 1)
	return true
}

func (x *extents) remove(b Buffer) {
	from, to := x.leaves(b)
	x.change(1, 0, len(x.bounds)-1, from, to, -1)
}

func (x *extents) leaves(b Buffer) (from, to int) {
	from, _ = slices.BinarySearch(x.bounds, b.Offset)
	to, _ = slices.BinarySearch(x.bounds, b.Offset+b.Stride)
	return from, to
}

// taken reports whether a range lies in leaves from to to, as far as they are
// among those of node, low to high.
func (x *extents) taken(node, low, high, from, to int) bool {
	from, to = max(from, low), min(to, high)
	switch {
	case from >= to:
		return false
	case x.cover[node] > 0:
		return true
	case from == low && to == high:
		return x.inside[node]
	}
	middle := (low + high) / 2
	return x.taken(2*node, low, middle, from, to) || x.taken(2*node+1, middle, high, from, to)
}

// change adds n to the count of the nodes that make up leaves from to to.
func (x *extents) change(node, low, high, from, to, n int) {
	from, to = max(from, low), min(to, high)
	if from >= to {
		return
	}
	if from == low && to == high {
		x.cover[node] += n
	} else {
		middle := (low + high) / 2
		x.change(2*node, low, middle, from, to, n)
		x.change(2*node+1, middle, high, from, to, n)
	}
	x.inside[node] = x.cover[node] > 0 || high-low > 1 && (x.inside[2*node] || x.inside[2*node+1])
}
