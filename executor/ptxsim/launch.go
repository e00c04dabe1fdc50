package ptxsim

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"etc/fault"
)

// A Launch is one run of a kernel over a grid of blocks.
type Launch struct {
	Kernel *Kernel
	Grid   [3]int // blocks
	Block  [3]int // threads
	Shared int    // bytes of dynamic shared memory
	Args   []Arg
}

// An Arg is the value of a parameter.
type Arg struct {
	Bits uint64
	Size int // bytes, 4 or 8, that of the parameter
}

// Ptr is a pointer argument.
func Ptr(address uint64) Arg { return Arg{address, 8} }

// I32 is an int argument.
func I32(v int) Arg { return Arg{uint64(uint32(int32(v))), 4} }

// F32 is a float argument.
func F32(v float32) Arg { return Arg{uint64(math.Float32bits(v)), 4} }

// A run is a launch under way.
type run struct {
	device  *Device
	k       *Kernel
	options Options
	grid    [3]int
	shape   [3]int // of a block
	dynamic int
	blocks  int
	params  []byte
	image   []lanes     // registers as each warp begins
	tables  *allocation // constant variables of the module, nil if none
	tag     uint32      // of the launch in the shadow of global memory

	next  atomic.Int64 // block to run next, in the order of the options
	last  atomic.Int64 // block that ended the launch
	found []map[place]*ordered
}

// Launch runs l. What the detectors find is its error: a *Finding, or several
// joined; else what Elsewhere says.
func (d *Device) Launch(l Launch) error {
	r, err := d.prepare(l)
	if err != nil {
		return err
	}
	memories := d.memories()
	workers := max(min(d.options.Workers, r.blocks), 1)
	r.last.Store(math.MaxInt64)
	blocks := make([]*block, workers)
	r.found = make([]map[place]*ordered, workers)
	if workers == 1 {
		blocks[0] = r.work(0)
	} else {
		fault.Parallel(workers, func(i int) { blocks[i] = r.work(i) })
	}
	for _, b := range blocks {
		d.add(b)
	}
	if d.options.Launched != nil {
		d.options.Launched(l.Kernel, d.Coverage(l.Kernel))
	}
	if err := join(r.found, int(min(r.last.Load(), math.MaxInt))); err != nil {
		return err
	}
	return d.elsewhere(l, memories)
}

// work runs blocks until none is left.
func (r *run) work(i int) *block {
	b := r.newBlock()
	r.found[i] = b.found
	for {
		n := r.next.Add(1) - 1
		if n >= int64(r.blocks) || n > r.last.Load() {
			return b
		}
		if !b.do(int(n)) {
			r.end(n)
		}
	}
}

// end keeps the earliest block that ended the launch. Those before it run on,
// so that the findings are the same for any number of workers.
func (r *run) end(n int64) {
	for {
		last := r.last.Load()
		if n >= last || r.last.CompareAndSwap(last, n) {
			return
		}
	}
}

// mostBlocks bounds a grid that detectors watch: they keep a block's number in
// blockBits bits.
const mostBlocks = multiple - 1

// prepare checks l.
func (d *Device) prepare(l Launch) (*run, error) {
	k := l.Kernel
	if k == nil {
		return nil, fault.Newf(fault.Internal, "launch of no kernel")
	}
	threads, blocks := 1, 1
	limits := [3]int{1<<31 - 1, 65535, 65535}
	for i := range 3 {
		if l.Block[i] < 1 || l.Block[i] > maxThreads || l.Grid[i] < 1 || l.Grid[i] > limits[i] {
			return nil, fault.Newf(fault.Corrupt, "kernel %s: grid %v of blocks %v", k.name, l.Grid, l.Block)
		}
		threads, blocks = threads*l.Block[i], blocks*l.Grid[i]
	}
	switch {
	case threads > maxThreads || k.threads > 0 && threads > k.threads || k.exact && threads != k.threads:
		return nil, fault.Newf(fault.Corrupt, "kernel %s: blocks of %d threads, it is made for %d", k.name, threads, k.threads)
	case blocks > mostBlocks:
		return nil, fault.Newf(fault.Unsupported, "kernel %s: %d blocks, the simulator runs up to %d", k.name, blocks, mostBlocks)
	case l.Shared < 0 || l.Shared+k.sharedBytes() > maxShared:
		return nil, fault.Newf(fault.Corrupt, "kernel %s: %d bytes of dynamic and %d of static shared memory, want at most %d", k.name, l.Shared, k.sharedBytes(), maxShared)
	case len(l.Args) != len(k.params):
		return nil, fault.Newf(fault.Corrupt, "kernel %s: %d arguments for %d parameters", k.name, len(l.Args), len(k.params))
	}
	r := &run{device: d, k: k, options: d.options, grid: l.Grid, shape: l.Block, dynamic: l.Shared, blocks: blocks}
	r.params = make([]byte, k.paramBytes+16)
	for i, a := range l.Args {
		q := k.params[i]
		if a.Size != q.size || a.Size != 4 && a.Size != 8 {
			return nil, fault.Newf(fault.Corrupt, "kernel %s: argument %d has %d bytes, its parameter %d", k.name, i, a.Size, q.size)
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], a.Bits)
		copy(r.params[q.offset:], b[:a.Size])
	}
	r.image = k.registers()
	r.tables = k.module.tables()
	r.tag = d.newTag()
	return r, nil
}

// sharedBytes is the static shared memory without its redzones.
func (k *Kernel) sharedBytes() int {
	n := 0
	for _, a := range k.shared {
		n += a.size
	}
	return n
}

// registers are the registers as a warp begins: constants in their places,
// all others filled with what is no likely value.
func (k *Kernel) registers() []lanes {
	image := make([]lanes, k.slots)
	for s := range image {
		for i := range image[s] {
			image[s][i] = unsetRegister
		}
	}
	for _, c := range k.constants {
		for i := range image[c.slot] {
			image[c.slot][i] = c.value
		}
	}
	return image
}

// unsetRegister is a NaN as f16, bf16 and f32, and a bad address.
const unsetRegister = 0x7fff_7fff

// tables are the constant variables of m as memory.
func (m *Module) tables() *allocation {
	if len(m.readOnly) == 0 {
		return nil
	}
	return &allocation{name: "tables of the module", base: readOnlyWindow, data: m.readOnly, constant: true}
}
