package ptxsim

// Counters are what launches did since the device was made.
type Counters struct {
	WarpInstructions int64
	MMA              int64            // tensor core instructions of warps
	Instructions     map[string]int64 // of warps, by opcode
	// With Options.Count: passes over the banks of shared memory, and those it
	// takes without bank conflicts.
	SharedWavefronts, IdealWavefronts int64
	// With Options.Count: 32-byte sectors of global memory that warps touch,
	// and those it takes if each were used whole.
	Sectors, IdealSectors int64
}

// Ways of a branch.
const (
	passed = 1 << iota
	taken
)

// counts are what a worker counted.
type counts struct {
	runs                                               []int64 // by instruction: times that a warp executed it
	ways                                               []uint8 // by instruction: ways that a branch went
	wavefronts, idealWavefronts, sectors, idealSectors int64
}

func newCounts(n int) counts { return counts{runs: make([]int64, n), ways: make([]uint8, n)} }

// add takes over what b counted.
func (d *Device) add(b *block) {
	k := b.run.k
	c := d.coverage[k]
	if c == nil {
		n := newCounts(len(k.code))
		c = &n
		d.coverage[k] = c
	}
	for pc, n := range b.counts.runs {
		c.runs[pc] += n
		c.ways[pc] |= b.counts.ways[pc]
	}
	c.wavefronts += b.counts.wavefronts
	c.idealWavefronts += b.counts.idealWavefronts
	c.sectors += b.counts.sectors
	c.idealSectors += b.counts.idealSectors
}

// Counters sums what all launches did.
func (d *Device) Counters() Counters {
	t := Counters{Instructions: map[string]int64{}}
	for k, c := range d.coverage {
		for pc, n := range c.runs {
			if n == 0 {
				continue
			}
			in := &k.code[pc]
			t.WarpInstructions += n
			t.Instructions[in.op] += n
			if in.isMMA() {
				t.MMA += n
			}
		}
		t.SharedWavefronts += c.wavefronts
		t.IdealWavefronts += c.idealWavefronts
		t.Sectors += c.sectors
		t.IdealSectors += c.idealSectors
	}
	return t
}

// A Cover is how an instruction of a kernel was executed.
type Cover struct {
	PTXLine       int
	Opcode        string
	Runs          int64 // by warps
	Branch        bool
	Taken, Passed bool // of a branch: some thread jumped, some went on
}

// Coverage lists the instructions of k, in the order of its text, without the
// end that every kernel has.
func (d *Device) Coverage(k *Kernel) []Cover {
	c := d.coverage[k]
	if c == nil {
		n := newCounts(len(k.code))
		c = &n
	}
	list := make([]Cover, len(k.code)-1)
	for pc := range list {
		in := &k.code[pc]
		list[pc] = Cover{in.line, in.op, c.runs[pc], in.kind == kindBranch, c.ways[pc]&taken != 0, c.ways[pc]&passed != 0}
	}
	return list
}

// Coverages are those of all kernels that were launched, in no order.
func (d *Device) Coverages() [][]Cover {
	var all [][]Cover
	for k := range d.coverage {
		all = append(all, d.Coverage(k))
	}
	return all
}

// A tally of the 32 banks of shared memory, or of sectors of global memory,
// for one instruction of a warp.
type tally struct {
	keys  [128]uint64
	bytes [128]uint32 // of sectors: those used
	n     int
}

// index is the place of key, made if need be.
func (t *tally) index(key uint64) int {
	for i := t.n - 1; i >= 0; i-- {
		if t.keys[i] == key {
			return i
		}
	}
	t.keys[t.n], t.bytes[t.n] = key, 0
	t.n++
	return t.n - 1
}

// countGlobal counts the sectors that a load or store of n bytes a lane touches.
func (w *warp) countGlobal(in *inst, m uint32, n int) {
	if !w.block.run.options.Count {
		return
	}
	var t tally
	for ; m != 0; m &= m - 1 {
		t.sector(w.address(in, firstLane(m)), n)
	}
	w.addSectors(&t)
}

// sector notes n bytes at an address, which lie in one sector or at the seam of two.
func (t *tally) sector(address uint64, n int) {
	for n > 0 {
		used := min(n, 32-int(address&31))
		t.bytes[t.index(address>>5)] |= uint32(1<<used-1) << (address & 31)
		address, n = address+uint64(used), n-used
	}
}

func (w *warp) addSectors(t *tally) {
	bytes := 0
	for i := range t.n {
		bytes += laneCount(t.bytes[i])
	}
	w.block.counts.sectors += int64(t.n)
	w.block.counts.idealSectors += int64((bytes + 31) / 32)
}

// countShared counts the passes of an access of n bytes a lane. 8 bytes a lane
// are served by half warps, 16 by quarters; each pass serves one word of a bank.
func (w *warp) countShared(in *inst, m uint32, n int) {
	if !w.block.run.options.Count {
		return
	}
	at := 32
	if n > 4 {
		at = 128 / n
	}
	for from := 0; from < 32; from += at {
		w.pass(in, m>>from<<from&uint32(uint64(1)<<(from+at)-1), n)
	}
}

// pass counts one group of lanes that are served at once.
func (w *warp) pass(in *inst, m uint32, n int) {
	if m == 0 {
		return
	}
	var t tally
	var banks [32]int8
	most := int8(0)
	for ; m != 0; m &= m - 1 {
		address := w.address(in, firstLane(m))
		for word := address >> 2; word <= (address+uint64(n)-1)>>2; word++ {
			before := t.n
			if t.index(word); t.n > before {
				banks[word&31]++
				most = max(most, banks[word&31])
			}
		}
	}
	w.block.counts.wavefronts += int64(most)
	w.block.counts.idealWavefronts += int64((t.n + 31) / 32)
}

// countCopy counts both sides of a cp.async.
func (w *warp) countCopy(in *inst, m uint32) {
	if !w.block.run.options.Count {
		return
	}
	w.countShared(in, m, in.m.size)
	var t tally
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		if n := min(int(w.r[in.v[1]][lane]), in.m.size); n > 0 {
			t.sector(w.r[in.b][lane]+w.r[in.v[0]][lane], n)
		}
	}
	w.addSectors(&t)
}
