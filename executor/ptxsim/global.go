package ptxsim

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// An allocation is a stretch of global memory with what is known of it.
//
// The shadows are made when they are first needed: a weight, which the host
// writes once and kernels read, has no shadow of writes.
type allocation struct {
	name     string
	base     uint64
	data     []byte
	constant bool // a module's tables: not to be written

	complete atomic.Bool // all written by the host; no shadow of writes yet
	making   sync.Mutex
	writes   atomic.Pointer[[]uint32] // for each 2 bytes: 0 unset, else launch and block of the last write
	reads    atomic.Pointer[[]uint32] // for each 16 bytes: launch and block of the last read
}

// A mark in a shadow: the launch's tag, whether the read-only path was used
// (of reads), and the block, or multiple where several blocks read.
const (
	tagShift     = 22
	readOnlyMark = 1 << 21
	multiple     = 1<<21 - 1
	tags         = 1 << 10

	hostMark = 1 // a write of the host, or of a launch long ago

	writeGranule = 2
	readGranule  = 16
)

// newTag numbers a launch. Tags come again after some launches: then marks of
// old are cleared first.
func (d *Device) newTag() uint32 {
	if d.tag++; d.tag == tags {
		d.tag = 1
		for _, a := range d.allocations {
			a.forget()
		}
	}
	return d.tag
}

// forget turns all writes into old ones.
func (a *allocation) forget() {
	if w := a.writes.Load(); w != nil {
		for i, x := range *w {
			if x != 0 {
				(*w)[i] = hostMark
			}
		}
	}
	a.reads.Store(nil)
}

func (a *allocation) holds(address uint64, n int) bool {
	return address >= a.base && address-a.base <= uint64(len(a.data)) && uint64(n) <= uint64(len(a.data))-(address-a.base)
}

// describe says where an address lies, seen from the allocation before it.
func (a *allocation) describe(address uint64) string {
	if a == nil || address-a.base > uint64(len(a.data))+1<<20 {
		return fmt.Sprintf("address %#x is in no allocation", address)
	}
	return fmt.Sprintf("%s+%d of %d bytes", a.name, address-a.base, len(a.data))
}

// shadow makes a shadow with a mark for each so many bytes.
func (a *allocation) shadow(p *atomic.Pointer[[]uint32], granule int, fill uint32) []uint32 {
	a.making.Lock()
	defer a.making.Unlock()
	if s := p.Load(); s != nil {
		return *s
	}
	s := make([]uint32, (len(a.data)+granule-1)/granule)
	if fill != 0 {
		for i := range s {
			s[i] = fill
		}
	}
	p.Store(&s)
	return s
}

// writeShadow is the shadow of writes, made if need be.
func (a *allocation) writeShadow() []uint32 {
	if s := a.writes.Load(); s != nil {
		return *s
	}
	fill := uint32(0)
	if a.complete.Load() {
		fill = hostMark
	}
	return a.shadow(&a.writes, writeGranule, fill)
}

func (a *allocation) hostWrote(at, n int) {
	if n == len(a.data) {
		a.complete.Store(true)
		a.writes.Store(nil)
		return
	}
	if a.complete.Load() && a.writes.Load() == nil {
		return
	}
	s := a.writeShadow()
	for g := at / writeGranule; g <= (at+n-1)/writeGranule; g++ {
		s[g] = hostMark
	}
}

// unset is the first of n bytes at at that was never written; -1 if all were.
func (a *allocation) unset(at, n int) int {
	s := a.writes.Load()
	if s == nil {
		if a.complete.Load() {
			return -1
		}
		return at
	}
	for g := at / writeGranule; g <= (at+n-1)/writeGranule; g++ {
		if atomic.LoadUint32(&(*s)[g]) == 0 {
			return max(g*writeGranule, at)
		}
	}
	return -1
}

// globalAt finds the memory behind a global address.
func (w *warp) globalAt(in *inst, address uint64, n, lane int) (*allocation, int) {
	a := w.block.recent[in.pc]
	if a == nil || !a.holds(address, n) {
		a = w.findGlobal(in, address, n, lane)
		w.block.recent[in.pc] = a
	}
	if address&uint64(n-1) != 0 {
		w.fatal(in, lane, Misaligned, "%d bytes at %s", n, a.describe(address))
	}
	return a, int(address - a.base)
}

func (w *warp) findGlobal(in *inst, address uint64, n, lane int) *allocation {
	r := w.block.run
	if a := r.tables; a != nil && a.holds(address, n) {
		return a
	}
	a := r.device.find(address)
	if a == nil || !a.holds(address, n) {
		w.fatal(in, lane, OutOfBounds, "%d bytes at %s", n, a.describe(address))
	}
	return a
}

// readGlobal is n bytes of global memory that a lane reads.
func (w *warp) readGlobal(in *inst, address uint64, n, lane int) []byte {
	a, at := w.globalAt(in, address, n, lane)
	if !w.block.run.options.Unchecked && !a.constant {
		w.watchRead(in, a, at, n, lane)
	}
	return a.data[at : at+n]
}

// watchRead reports a read of what was never written, or was by another block
// of the launch, and leaves a mark.
func (w *warp) watchRead(in *inst, a *allocation, at, n, lane int) {
	tag, me := w.block.run.tag, w.block.number
	if s := a.writes.Load(); s != nil {
		for g := at / writeGranule; g <= (at+n-1)/writeGranule; g++ {
			x := atomic.LoadUint32(&(*s)[g])
			if x>>tagShift == tag || x == 0 {
				w.badRead(in, a, at, x, lane)
			}
		}
	} else if !a.complete.Load() {
		w.badRead(in, a, at, 0, lane)
	}
	reads := a.reads.Load()
	if reads == nil {
		s := a.shadow(&a.reads, readGranule, 0)
		reads = &s
	}
	mark := tag<<tagShift | me
	if in.m.readOnly {
		mark |= readOnlyMark
	}
	for g := at / readGranule; g <= (at+n-1)/readGranule; g++ {
		markRead(&(*reads)[g], mark)
	}
}

// markRead joins a read to those of the launch before it.
func markRead(p *uint32, mark uint32) {
	for {
		old := atomic.LoadUint32(p)
		x := mark
		if old>>tagShift == mark>>tagShift {
			x |= old & readOnlyMark
			if old&multiple != mark&multiple {
				x |= multiple
			}
		}
		if x == old || atomic.CompareAndSwapUint32(p, old, x) {
			return
		}
	}
}

func (w *warp) badRead(in *inst, a *allocation, at int, x uint32, lane int) {
	switch {
	case x == 0:
		w.report(in, lane, Uninitialized, "reads %s+%d, which was never written", a.name, at)
	case x&multiple != w.block.number:
		w.report(in, lane, GlobalRace, "reads %s+%d, which block %d of the same launch writes", a.name, at, x&multiple)
	case in.m.readOnly:
		w.report(in, lane, ReadOnly, "reads %s+%d, which the same launch writes, past the cache that sees writes", a.name, at)
	}
}

// writeGlobal is n bytes of global memory that a lane writes.
func (w *warp) writeGlobal(in *inst, address uint64, n, lane int) []byte {
	a, at := w.globalAt(in, address, n, lane)
	if a.constant {
		w.fatal(in, lane, OutOfBounds, "writes the tables of the module")
	}
	if w.block.run.options.Unchecked {
		if !a.complete.Load() {
			a.complete.Store(true) // not watched: all counts as written
		}
		return a.data[at : at+n]
	}
	w.watchWrite(in, a, at, n, lane)
	return a.data[at : at+n]
}

// watchWrite reports a write to what another block of the launch reads or
// writes, or any reads as read-only, and leaves a mark.
func (w *warp) watchWrite(in *inst, a *allocation, at, n, lane int) {
	tag, me := w.block.run.tag, w.block.number
	s := a.writeShadow()
	for g := at / writeGranule; g <= (at+n-1)/writeGranule; g++ {
		x := atomic.SwapUint32(&s[g], tag<<tagShift|me)
		if x>>tagShift == tag && x&multiple != me {
			w.report(in, lane, GlobalRace, "writes %s+%d, which block %d of the same launch writes too", a.name, at, x&multiple)
		}
	}
	reads := a.reads.Load()
	if reads == nil {
		s := a.shadow(&a.reads, readGranule, 0)
		reads = &s
	}
	for g := at / readGranule; g <= (at+n-1)/readGranule; g++ {
		x := atomic.LoadUint32(&(*reads)[g])
		switch {
		case x>>tagShift != tag:
		case x&readOnlyMark != 0:
			w.report(in, lane, ReadOnly, "writes %s+%d, which the same launch reads past the cache that sees writes", a.name, at)
		case x&multiple == multiple:
			w.report(in, lane, GlobalRace, "writes %s+%d, which several blocks of the same launch read", a.name, at)
		case x&multiple != me:
			w.report(in, lane, GlobalRace, "writes %s+%d, which block %d of the same launch reads", a.name, at, x&multiple)
		}
	}
}
