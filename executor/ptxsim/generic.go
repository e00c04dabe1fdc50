package ptxsim

// Generic addresses: each space but global has a window, far from where
// allocations lie.
const (
	windowSize     = 1 << 32
	localWindow    = 0x5000_0000_0000
	readOnlyWindow = 0x6000_0000_0000
	sharedWindow   = 0x7000_0000_0000
)

func in(address, window uint64) bool { return address-window < windowSize }

// execLoadAny serves local and generic addresses, lane by lane.
func execLoadAny(w *warp, i *inst, m uint32) {
	n := i.m.bytes()
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		a := w.address(i, lane)
		switch {
		case i.m.space == local || in(a, localWindow):
			w.load(i, w.localAt(i, a, n, lane, false), lane)
		case in(a, sharedWindow):
			at := w.sharedAt(i, a-sharedWindow, n, lane)
			w.readShared(i, at, n, lane)
			w.load(i, w.block.memory[at:at+n], lane)
		default:
			w.load(i, w.readGlobal(i, a, n, lane), lane)
		}
	}
}

func execStoreAny(w *warp, i *inst, m uint32) {
	n := i.m.bytes()
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		a := w.address(i, lane)
		switch {
		case i.m.space == local || in(a, localWindow):
			w.store(i, w.localAt(i, a, n, lane, true), lane)
		case in(a, sharedWindow):
			at := w.sharedAt(i, a-sharedWindow, n, lane)
			w.writeShared(i, at, n, lane)
			w.store(i, w.block.memory[at:at+n], lane)
		default:
			w.store(i, w.writeGlobal(i, a, n, lane), lane)
		}
	}
}

// localAt is the memory of one thread behind a local address.
func (w *warp) localAt(in *inst, a uint64, n, lane int, write bool) []byte {
	if a >= localWindow {
		a -= localWindow
	}
	size := uint64(w.block.run.k.local)
	if a > size || uint64(n) > size-a {
		w.fatal(in, lane, OutOfBounds, "%d bytes at %d of the thread's %d bytes of local memory", n, int64(a), size)
	}
	if a&uint64(n-1) != 0 {
		w.fatal(in, lane, Misaligned, "%d bytes at %d of local memory", n, a)
	}
	from := uint64(lane)*size + a
	for i := range uint64(n) {
		if write {
			w.localSet[from+i] = true
		} else if !w.localSet[from+i] {
			w.report(in, lane, Uninitialized, "reads local memory at %d before it is written", a)
			break
		}
	}
	return w.local[from : from+uint64(n)]
}
