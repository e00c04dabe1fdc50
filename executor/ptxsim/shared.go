package ptxsim

import "fmt"

// A shadow is what is known of each 2 bytes of shared memory: who wrote them
// last and who read them since, in which phase between barriers.
//
// A mark is, from the top: whether a copy is under way (of writes); the epoch,
// which each barrier of the block and each block raises; the warp's own
// phase, which bar.warp.sync raises; and who.
type shadow struct {
	writes, reads []uint64
	epoch, first  uint64 // now, and when the block began
}

const (
	pendingMark = 1 << 63
	epochShift  = 40
	phaseShift  = 16
	phaseMask   = 1<<24 - 1
	whoMask     = 1<<16 - 1
	warpMark    = 1 << 15 // of who: several threads of the warp below
	anyone      = whoMask // of who: threads of several warps
	lastEpoch   = 1<<23 - 1

	sharedGranule = 2
)

func newShadow(bytes int, unchecked bool) shadow {
	if unchecked {
		return shadow{}
	}
	n := (bytes + sharedGranule - 1) / sharedGranule
	return shadow{writes: make([]uint64, n), reads: make([]uint64, n)}
}

// begin starts a block: what earlier blocks wrote is no longer set.
func (s *shadow) begin() {
	s.barrier()
	s.first = s.epoch
}

func (s *shadow) barrier() {
	if s.epoch++; s.epoch == lastEpoch { // never in practice: marks of old would look new
		clear(s.writes)
		clear(s.reads)
		s.epoch, s.first = 1, 1
	}
}

// sharedAt checks an address of n bytes of shared memory.
func (w *warp) sharedAt(in *inst, address uint64, n, lane int) int {
	b := w.block
	inside := false
	for i := len(b.arrays) - 1; i >= 0 && !inside; i-- {
		a := &b.arrays[i]
		inside = address >= uint64(a.from) && address+uint64(n) <= uint64(a.from+a.size) && address < 1<<32
	}
	if !inside {
		w.fatal(in, lane, OutOfBounds, "%d bytes at %s", n, b.place(address))
	}
	if address&uint64(n-1) != 0 {
		w.fatal(in, lane, Misaligned, "%d bytes at %s", n, b.place(address))
	}
	return int(address)
}

// place says where a shared address lies, seen from the array before it.
func (b *block) place(address uint64) string {
	for i := len(b.arrays) - 1; i >= 0; i-- {
		if a := &b.arrays[i]; address >= uint64(a.from) {
			return fmt.Sprintf("%s+%d of %d bytes", a.name, address-uint64(a.from), a.size)
		}
	}
	return fmt.Sprintf("shared address %#x", address)
}

// mark is that of a lane now.
func (w *warp) mark(lane int) uint64 {
	return w.block.shadow.epoch<<epochShift | w.phase&phaseMask<<phaseShift | uint64(w.thread(lane)+1)
}

// readShared watches a read of n bytes.
func (w *warp) readShared(in *inst, at, n, lane int) {
	s := &w.block.shadow
	if s.writes == nil {
		return
	}
	me := w.mark(lane)
	from, to := at/sharedGranule, (at+n+sharedGranule-1)/sharedGranule
	for _, x := range s.writes[from:to] {
		if e := x >> epochShift; e < s.first || e >= s.epoch {
			if w.readAfter(in, x, me, at, lane) {
				break
			}
		}
	}
	reads := s.reads[from:to]
	for i, x := range reads {
		if x != me {
			reads[i] = w.joinReads(x, me)
		}
	}
}

// readAfter reports a read at at where x is the mark of the write before it.
func (w *warp) readAfter(in *inst, x, me uint64, at, lane int) bool {
	s := &w.block.shadow
	who := x&whoMask - 1
	switch {
	case x&pendingMark != 0:
		w.report(in, lane, AsyncRace, "reads %s while thread %d's copy to it is under way", w.block.place(uint64(at)), who)
	case x>>epochShift < s.first:
		w.report(in, lane, Uninitialized, "reads %s, which was never written", w.block.place(uint64(at)))
	case !w.ordered(x, me):
		w.report(in, lane, SharedRace, "reads %s, which thread %d writes, with no barrier between", w.block.place(uint64(at)), who)
	default:
		return false
	}
	return true
}

// ordered says whether the access with mark x of this epoch surely came
// before that of me: it is of the same thread, or of the same warp before a
// barrier of the warp.
func (w *warp) ordered(x, me uint64) bool {
	who := x & whoMask
	if who == me&whoMask {
		return true
	}
	if who == anyone {
		return false
	}
	warp := (who - 1) / 32
	if who&warpMark != 0 {
		warp = who &^ warpMark
	}
	return warp == uint64(w.id) && x>>phaseShift&phaseMask < w.phase&phaseMask
}

// joinReads is the mark of the readers in x and of me.
func (w *warp) joinReads(x, me uint64) uint64 {
	if x>>epochShift != me>>epochShift || x&whoMask == me&whoMask {
		return me
	}
	who := x & whoMask
	if who == anyone {
		return x
	}
	warp := (who - 1) / 32
	if who&warpMark != 0 {
		warp = who &^ warpMark
	}
	if warp == uint64(w.id) {
		return me&^whoMask | warpMark | warp
	}
	return me | anyone
}

// writeShared watches a write of n bytes.
func (w *warp) writeShared(in *inst, at, n, lane int) {
	if w.block.shadow.writes != nil {
		w.markWrite(in, at, n, lane, w.mark(lane))
	}
}

// copyShared watches the issue of a copy to n bytes: they may be written at
// any time from now until the thread waits.
func (w *warp) copyShared(in *inst, at, n, lane int) {
	if w.block.shadow.writes != nil {
		w.markWrite(in, at, n, lane, w.mark(lane)|pendingMark)
	}
}

// landShared ends a copy: its thread has waited, and counts as the writer.
func (w *warp) landShared(at, n, lane int) {
	s := &w.block.shadow
	if s.writes == nil {
		return
	}
	me := w.mark(lane)
	for g := at / sharedGranule; g < (at+n)/sharedGranule; g++ {
		s.writes[g] = me
	}
}

func (w *warp) markWrite(in *inst, at, n, lane int, me uint64) {
	s := &w.block.shadow
	from, to := at/sharedGranule, (at+n+sharedGranule-1)/sharedGranule
	writes, reads := s.writes[from:to], s.reads[from:to]
	for i, x := range writes {
		if e := x >> epochShift; e >= s.epoch {
			w.writeAfterWrite(in, x, me, at, lane)
		}
		if r := reads[i]; r>>epochShift == s.epoch && !w.ordered(r, me) {
			w.report(in, lane, SharedRace, "writes %s, which other threads read, with no barrier between", w.block.place(uint64(at)))
		}
		writes[i] = me
	}
}

// writeAfterWrite reports a write at at where x is the mark of the write before it.
func (w *warp) writeAfterWrite(in *inst, x, me uint64, at, lane int) {
	who := x&whoMask - 1
	switch {
	case x&pendingMark != 0:
		w.report(in, lane, AsyncRace, "writes %s while thread %d's copy to it is under way", w.block.place(uint64(at)), who)
	case !w.ordered(x, me):
		w.report(in, lane, SharedRace, "writes %s, which thread %d writes too, with no barrier between", w.block.place(uint64(at)), who)
	}
}
