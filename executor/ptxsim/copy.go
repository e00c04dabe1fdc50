package ptxsim

import "slices"

// A copyOp is a cp.async of a warp that has not been waited for.
type copyOp struct {
	in    *inst
	mask  uint32
	group uint32
	to    [32]int32 // in shared memory
	from  [32]*allocation
	at    [32]int  // in from
	bytes [32]int8 // that are copied; the rest of the instruction's size becomes zero
}

// decodeCopy takes cp.async of 4, 8 or 16 bytes and what commits and waits.
func decodeCopy(p *parser, in *inst, mods []string, o []operand) {
	in.kind = kindExec
	switch {
	case slices.Equal(mods, []string{"async", "commit_group"}):
		p.want(in, o, 0, 0)
		in.exec = execCommit
	case slices.Equal(mods, []string{"async", "wait_group"}):
		p.want(in, o, 1, 1)
		if o[0].form != literal || o[0].imm > 1<<20 {
			p.refuse("cp.async.wait_group wants a number")
		}
		in.b = int32(o[0].imm)
		in.exec = execWait
	case slices.Equal(mods, []string{"async", "wait_all"}):
		p.want(in, o, 0, 0)
		in.exec = func(w *warp, in *inst, m uint32) {
			execCommit(w, in, m)
			execWait(w, in, m)
		}
	case len(mods) >= 4 && mods[0] == "async" && (mods[1] == "ca" || mods[1] == "cg"):
		p.asyncCopy(in, mods, o)
	default:
		p.unsupported("instruction %q", in.op)
	}
}

// asyncCopy reads cp.async.cg.shared.global [to], [from], size[, bytes].
func (p *parser) asyncCopy(in *inst, mods []string, o []operand) {
	p.want(in, o, 3, 4)
	for _, x := range mods[4:] {
		if !slices.Contains(hints, x) {
			p.unsupported("instruction %q", in.op)
		}
	}
	size := o[2].imm
	if spaces[mods[2]] != shared || mods[3] != "global" {
		p.unsupported("instruction %q", in.op)
	}
	if o[2].form != literal || size != 16 && (mods[1] == "cg" || size != 4 && size != 8) {
		p.refuse("%s of %d bytes", in.op, size)
	}
	in.m.size, in.m.count = int(size), 1
	var from int64
	in.a, in.offset = p.addressOf(in, o[0], shared)
	in.b, from = p.addressOf(in, o[1], global)
	in.v = []int32{p.constant(uint64(from)), p.constant(size)}
	if len(o) == 4 {
		in.v[1] = p.source(o[3], single)
	}
	in.exec = execCopy
}

// execCopy issues copies. Memory that is read and written is watched as of
// now; the bytes move now or when they are waited for.
func execCopy(w *warp, in *inst, m uint32) {
	n := in.m.size
	w.copies = slices.Grow(w.copies, 1)[:len(w.copies)+1]
	c := &w.copies[len(w.copies)-1]
	c.in, c.mask, c.group = in, m, w.committed
	w.countCopy(in, m)
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		at := w.sharedAt(in, w.address(in, lane), n, lane)
		bytes := w.r[in.v[1]][lane]
		if bytes > uint64(n) {
			w.fatal(in, lane, OutOfBounds, "copies %d bytes of %d", bytes, n)
		}
		c.to[lane], c.bytes[lane] = int32(at), int8(bytes)
		w.copySource(in, c, lane)
		w.copyShared(in, at, n, lane)
		if w.block.run.options.EarlyCopies {
			c.move(w.block.memory, lane)
		}
	}
}

// copySource finds what a lane copies. Nothing is read where it copies no
// bytes, but the address must be aligned all the same.
func (w *warp) copySource(in *inst, c *copyOp, lane int) {
	address := w.r[in.b][lane] + w.r[in.v[0]][lane]
	if address&uint64(in.m.size-1) != 0 {
		w.fatal(in, lane, Misaligned, "copies %d bytes from %#x", in.m.size, address)
	}
	n := int(c.bytes[lane])
	if n == 0 {
		return
	}
	a := w.block.recent[in.pc]
	if a == nil || !a.holds(address, n) {
		a = w.findGlobal(in, address, n, lane)
		w.block.recent[in.pc] = a
	}
	c.from[lane], c.at[lane] = a, int(address-a.base)
	if !w.block.run.options.Unchecked && !a.constant {
		w.watchRead(in, a, c.at[lane], n, lane)
	}
}

// move does the copy of a lane.
func (c *copyOp) move(memory []byte, lane int) {
	n := int(c.bytes[lane])
	to := memory[c.to[lane]:][:c.in.m.size]
	if n > 0 {
		copy(to[:n], c.from[lane].data[c.at[lane]:])
	}
	clear(to[n:])
}

// execCommit closes a group of copies. The groups are those of the whole warp:
// threads may not part around it.
func execCommit(w *warp, in *inst, m uint32) {
	if m != w.alive {
		w.fatal(in, firstLane(w.alive&^m), Divergence, "reached by lanes %08x of %08x", m, w.alive)
	}
	w.committed++
}

// execWait lands all groups but the last so many.
func execWait(w *warp, in *inst, m uint32) {
	if m != w.alive {
		w.fatal(in, firstLane(w.alive&^m), Divergence, "reached by lanes %08x of %08x", m, w.alive)
	}
	n := 0
	for n < len(w.copies) && int64(w.copies[n].group) < int64(w.committed)-int64(in.b) {
		n++
	}
	w.land(n)
}

// land ends the first n copies.
func (w *warp) land(n int) {
	for i := range n {
		c := &w.copies[i]
		for m := c.mask; m != 0; m &= m - 1 {
			lane := firstLane(m)
			if !w.block.run.options.EarlyCopies {
				c.move(w.block.memory, lane)
			}
			w.landShared(int(c.to[lane]), c.in.m.size, lane)
		}
	}
	w.copies = append(w.copies[:0], w.copies[n:]...)
}
