package ptxsim

import (
	"math/bits"
	"slices"
)

// decodeShuffle takes shfl.sync.mode.b32 d[|p], a, b, c, members.
func decodeShuffle(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 5, 5)
	modes := []string{"bfly", "up", "down", "idx"}
	if len(mods) != 3 || mods[0] != "sync" || mods[2] != "b32" || !slices.Contains(modes, mods[1]) {
		p.unsupported("instruction %q", in.op)
	}
	results := []operand{o[0]}
	if o[0].form == pair {
		results = o[0].list
	}
	in.kind, in.exec = kindTogether, execShuffle
	in.target = int32(slices.Index(modes, mods[1]))
	in.d, in.v = p.destination(results[0], single).slot, []int32{-1, p.source(o[4], single)}
	if len(results) == 2 && results[1].name != "_" {
		in.v[0] = p.destination(results[1], predicate).slot
	}
	in.a, in.b, in.c = p.source(o[1], single), p.source(o[2], single), p.source(o[3], single)
}

// execShuffle gives each lane another's value. c holds the end of the segment
// in bits 0-4 and the mask of lanes that stay in theirs in bits 8-12.
func execShuffle(w *warp, in *inst, m uint32) {
	w.members(in, m, &w.r[in.v[1]])
	from := w.r[in.a]
	var inside uint32
	for i := range 32 {
		if m>>uint(i)&1 == 0 {
			continue
		}
		b, c := int(w.r[in.b][i]&31), int(w.r[in.c][i])
		clamp, segment := c&31, c>>8&31
		last, first := i&segment|clamp&^segment, i&segment
		j, ok := i, false
		switch in.target {
		case 0:
			j = i ^ b
			ok = j <= last
		case 1:
			j = i - b
			ok = j >= last
		case 2:
			j = i + b
			ok = j <= last
		default:
			j = first | b&^segment
			ok = j <= last
		}
		if !ok {
			j = i
		} else {
			inside |= 1 << i
		}
		if m>>uint(j)&1 == 0 {
			w.report(in, i, Divergence, "reads lane %d, which does not take part", j)
		}
		w.r[in.d][i] = from[j]
	}
	if p := in.v[0]; p >= 0 {
		w.p[p] = w.p[p]&^m | inside&m
	}
}

// members checks the mask of lanes that must take part: it names each lane
// that executes, and all those it names do.
func (w *warp) members(in *inst, m uint32, masks *lanes) {
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := firstLane(rest)
		want := uint32(masks[lane])
		if want>>uint(lane)&1 == 0 || want&w.alive != m {
			w.fatal(in, lane, Divergence, "members %08x, but lanes %08x take part", want, m)
		}
	}
}

// decodeVote takes vote.sync.{all,any,uni}.pred p, [!]q, members and
// vote.sync.ballot.b32 d, [!]q, members.
func decodeVote(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 3, 3)
	if len(mods) != 3 || mods[0] != "sync" {
		p.unsupported("instruction %q", in.op)
	}
	var f func(yes, m uint32) bool
	switch mods[1] + "." + mods[2] {
	case "all.pred":
		f = func(yes, m uint32) bool { return yes == m }
	case "any.pred":
		f = func(yes, m uint32) bool { return yes != 0 }
	case "uni.pred":
		f = func(yes, m uint32) bool { return yes == m || yes == 0 }
	case "ballot.b32":
	default:
		p.unsupported("instruction %q", in.op)
	}
	c := single
	if f != nil {
		c = predicate
	}
	not := o[1].not
	o[1].not = false
	in.d, in.a, in.b = p.destination(o[0], c).slot, p.source(o[1], predicate), p.source(o[2], single)
	in.kind = kindTogether
	in.exec = func(w *warp, in *inst, m uint32) {
		w.members(in, m, &w.r[in.b])
		yes := w.p[in.a] & m
		if not {
			yes = m &^ yes
		}
		switch {
		case f == nil:
			w.set(in.d, m, func(int) uint64 { return uint64(yes) })
		case f(yes, m):
			w.p[in.d] |= m
		default:
			w.p[in.d] &^= m
		}
	}
}

func decodeActive(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 1, 1)
	if len(mods) != 1 || mods[0] != "b32" {
		p.unsupported("instruction %q", in.op)
	}
	in.d, in.kind = p.destination(o[0], single).slot, kindExec
	in.exec = func(w *warp, in *inst, m uint32) { w.set(in.d, m, func(int) uint64 { return uint64(m) }) }
}

// decodeRedux takes redux.sync.op.type d, a, members.
func decodeRedux(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 3, 3)
	if len(mods) != 3 || mods[0] != "sync" {
		p.unsupported("instruction %q", in.op)
	}
	f := map[string]func(x, y uint32) uint32{
		"add.u32": func(x, y uint32) uint32 { return x + y },
		"add.s32": func(x, y uint32) uint32 { return x + y },
		"min.u32": func(x, y uint32) uint32 { return min(x, y) },
		"max.u32": func(x, y uint32) uint32 { return max(x, y) },
		"min.s32": func(x, y uint32) uint32 { return uint32(min(int32(x), int32(y))) },
		"max.s32": func(x, y uint32) uint32 { return uint32(max(int32(x), int32(y))) },
		"and.b32": func(x, y uint32) uint32 { return x & y },
		"or.b32":  func(x, y uint32) uint32 { return x | y },
		"xor.b32": func(x, y uint32) uint32 { return x ^ y },
	}[mods[1]+"."+mods[2]]
	if f == nil {
		p.unsupported("instruction %q", in.op)
	}
	in.d, in.a, in.b = p.destination(o[0], single).slot, p.source(o[1], single), p.source(o[2], single)
	in.kind = kindTogether
	in.exec = func(w *warp, in *inst, m uint32) {
		w.members(in, m, &w.r[in.b])
		r := uint32(w.r[in.a][firstLane(m)])
		for rest := m & (m - 1); rest != 0; rest &= rest - 1 {
			r = f(r, uint32(w.r[in.a][bits.TrailingZeros32(rest)]))
		}
		w.set(in.d, m, func(int) uint64 { return uint64(r) })
	}
}
