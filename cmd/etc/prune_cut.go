package main

import (
	"slices"

	"etc/ir"
)

// cut is g without the layers far above a block, its outputs made of what is
// left: enough to see what the block reads, in half of the time on average.
// One layer above the block's own stays, because in the last one a head may
// want one token of each row only.
func cut(g *ir.Graph, block string) *ir.Graph {
	at := -1
	for i, op := range g.Ops {
		if op.Label == block {
			at = i
		}
	}
	var above []*ir.Value // layers' outputs behind the block, in order
	for _, op := range g.Ops[at+1:] {
		for _, v := range op.Results {
			if slices.ContainsFunc(g.Outputs, func(o ir.Output) bool { return o.When == ir.Tap && o.Value == v }) {
				above = append(above, v)
			}
		}
	}
	const next = 1 // above[0] is that of the block's own layer
	if at < 0 || len(above) <= next+1 {
		return g
	}
	index := func(v *ir.Value) int { return slices.Index(g.Ops, v.Def) }
	stays, last := index(above[next]), index(above[len(above)-1])
	short := g.Clone()
	short.ReplaceUses(short.Ops[last].Result(), short.Ops[stays].Result())
	short.RemoveDead()
	return short
}
