package ptxsim

import "math/bits"

// A warp is 32 threads in step. Where their ways part, each group of threads
// that goes the same way runs on its own, the one furthest behind first, which
// brings them together again.
type warp struct {
	block *block
	id    int
	r     []lanes  // by slot
	p     []uint32 // predicates, a bit a lane
	full  uint32   // the threads that there are
	alive uint32   // those that have not ended

	groups   []group
	phase    uint64 // barriers of the warp since the last of the block
	steps    int
	local    []byte
	localSet []bool
	scratch  lanes

	copies    []copyOp
	committed uint32 // groups of copies
}

// A group is threads at one place in the code. It is parked where it waits for
// others to arrive.
type group struct {
	pc     int32
	mask   uint32
	parked bool
}

func newWarp(b *block, id, threads int) *warp {
	k := b.run.k
	w := &warp{block: b, id: id, r: make([]lanes, max(k.slots, 1)), p: make([]uint32, k.predicates)}
	w.full = allLanes >> (32 - threads)
	if k.local > 0 {
		w.local, w.localSet = make([]byte, 32*k.local), make([]bool, 32*k.local)
	}
	return w
}

// begin readies w for a block.
func (w *warp) begin() {
	copy(w.r, w.block.run.image)
	for _, s := range w.block.run.k.specials {
		for lane := range w.r[s.slot] {
			w.r[s.slot][lane] = uint64(uint32(s.get(w, lane)))
		}
	}
	clear(w.p)
	clear(w.localSet)
	w.alive = w.full
	w.groups = append(w.groups[:0], group{0, w.full, false})
	w.phase, w.steps = 0, 0
	w.copies, w.committed = w.copies[:0], 0
}

// thread is the number of a lane's thread in the block.
func (w *warp) thread(lane int) int { return 32*w.id + lane }

// mostSteps ends a warp that does not end: more instructions than a row of
// 100000 tokens takes in any kernel.
const mostSteps = 1 << 26

// run executes w up to a barrier or its end.
func (w *warp) run() {
	code, counts := w.block.run.k.code, w.block.counts
	limit := w.block.run.options.steps()
	for {
		g := &w.groups[0]
		in := &code[g.pc]
		if w.steps++; w.steps > limit {
			w.fatal(in, firstLane(g.mask), Runaway, "more than %d instructions", limit)
		}
		m := g.mask
		if in.predicate >= 0 {
			p := w.p[in.predicate]
			if in.negate {
				p = ^p
			}
			m &= p
		}
		if m != 0 {
			counts.runs[g.pc]++
		}
		switch in.kind {
		case kindALU:
			if m == allLanes {
				in.alu(&w.r[in.d], &w.r[in.a], &w.r[in.b], &w.r[in.c], &w.r[in.e])
			} else if m != 0 {
				w.partly(in, m)
			}
			g.pc++
		case kindCompare:
			if m != 0 {
				w.p[in.d] = w.p[in.d]&^m | in.compare(&w.r[in.a], &w.r[in.b])&m
			}
			g.pc++
		case kindExec:
			if m != 0 {
				in.exec(w, in, m)
			}
			g.pc++
		case kindTogether:
			if m != 0 {
				if !w.together(in, m) {
					continue
				}
				in.exec(w, in, m)
			}
			w.groups[0].pc++
		case kindBarrier:
			if m != 0 {
				if !w.together(in, m) {
					continue
				}
				w.groups[0].pc++
				return
			}
			g.pc++
		case kindBranch:
			w.branch(in, m)
		case kindExit:
			if w.exit(in, m) {
				return
			}
		}
		if len(w.groups) > 1 {
			w.schedule()
		}
	}
}

// partly executes in for some of the lanes.
func (w *warp) partly(in *inst, m uint32) {
	in.alu(&w.scratch, &w.r[in.a], &w.r[in.b], &w.r[in.c], &w.r[in.e])
	d := &w.r[in.d]
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		d[lane] = w.scratch[lane]
	}
}

// together says whether all threads that are left have arrived at in. If not,
// those that have are parked, and another group is first; where there is none
// that could still arrive, it is a finding.
func (w *warp) together(in *inst, m uint32) bool {
	g := &w.groups[0]
	if m == w.alive {
		return true
	}
	g.parked = true
	w.schedule()
	if w.groups[0].parked {
		w.fatal(in, firstLane(m), Divergence, "reached by lanes %08x of %08x", m, w.alive)
	}
	return false
}

func (w *warp) branch(in *inst, m uint32) {
	g := &w.groups[0]
	ways := &w.block.counts.ways[g.pc]
	switch m {
	case g.mask:
		*ways |= taken
		g.pc = in.target
	case 0:
		*ways |= passed
		g.pc++
	default:
		*ways |= taken | passed
		g.pc, g.mask = g.pc+1, g.mask&^m
		w.groups = append(w.groups, group{in.target, m, false})
	}
}

// exit ends the threads in m; true once none is left.
func (w *warp) exit(in *inst, m uint32) bool {
	g := &w.groups[0]
	w.alive &^= m
	if g.mask &^= m; g.mask != 0 {
		g.pc++
		return false
	}
	w.groups = append(w.groups[:0], w.groups[1:]...)
	for i := range w.groups {
		w.groups[i].parked = false // fewer threads to wait for
	}
	if len(w.groups) > 0 {
		return false
	}
	if len(w.copies) > 0 {
		c := &w.copies[0]
		w.report(c.in, firstLane(c.mask), AsyncLeak, "the thread ends and has not waited for this copy")
		w.land(len(w.copies))
	}
	return true
}

// schedule puts the group that is furthest behind first, those parked last,
// and joins groups that have met.
func (w *warp) schedule() {
	g := w.groups
	for i := 1; i < len(g); i++ {
		for j := i; j > 0 && before(g[j], g[j-1]); j-- {
			g[j], g[j-1] = g[j-1], g[j]
		}
	}
	for i := 0; i < len(g); i++ {
		for j := len(g) - 1; j > i; j-- {
			if g[j].pc == g[i].pc {
				g[i].mask |= g[j].mask
				g[i].parked = false
				g = append(g[:j], g[j+1:]...)
			}
		}
	}
	w.groups = g
	if g[0].parked || len(g) == 1 {
		return
	}
	for i := 1; i < len(g); i++ { // a group that others joined may be further behind now
		if before(g[i], g[0]) {
			g[0], g[i] = g[i], g[0]
		}
	}
}

func before(a, b group) bool {
	if a.parked != b.parked {
		return b.parked
	}
	return a.pc < b.pc
}

// execWarpSync orders what the warp's threads did before it and after.
func execWarpSync(w *warp, in *inst, m uint32) {
	want := uint32(w.r[in.a][firstLane(m)]) & w.alive
	if want&^m != 0 {
		w.fatal(in, firstLane(m), Divergence, "lanes %08x wait for %08x", m, want)
	}
	if want == w.alive {
		w.phase++
	}
}

func laneCount(m uint32) int { return bits.OnesCount32(m) }
