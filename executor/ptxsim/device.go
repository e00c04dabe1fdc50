package ptxsim

import (
	"bytes"
	"sort"

	"etc/fault"
)

// Options say how launches run and what watches them.
type Options struct {
	Reverse     bool // warps and blocks in reverse order
	EarlyCopies bool // cp.async lands when it is issued, else as late as is legal
	Workers     int  // goroutines that run blocks; results do not depend on it
	Unchecked   bool // no detectors but of bounds, alignment and divergence: faster
	Count       bool // count memory transactions
	Steps       int  // most instructions of a warp, 0: 2^26
	// Launched is told, after each launch, what has been executed of its kernel.
	Launched func(*Kernel, []Cover)
	// Elsewhere is given each launch that passes, to run it on another device as
	// well. What it leaves in memory is what the host reads and later launches find.
	Elsewhere func(Launch, []Memory) error
}

func (o Options) steps() int {
	if o.Steps > 0 {
		return o.Steps
	}
	return mostSteps
}

// A Device holds global memory and runs launches, one at a time.
type Device struct {
	options     Options
	allocations []*allocation // by address
	next        uint64        // address of the next
	tag         uint32        // of the last launch
	coverage    map[*Kernel]*counts
}

// NewDevice makes a device with no memory in use.
func NewDevice(o Options) *Device {
	return &Device{options: o, next: firstAddress, coverage: map[*Kernel]*counts{}}
}

const (
	firstAddress = 0x1_0000_0000
	alignment    = 256
	redzone      = 4096 // bytes between allocations
	poison       = 0xff // what memory holds that was never written: NaN in every format
)

// Alloc makes an allocation and returns its address, a multiple of 256. Its
// contents count as not initialised.
func (d *Device) Alloc(name string, size int) uint64 {
	a := &allocation{name: name, base: d.next, data: bytes.Repeat([]byte{poison}, size)}
	d.next += uint64(roundUp(size, alignment) + redzone)
	d.allocations = append(d.allocations, a)
	return a.base
}

// Free ends an allocation. Its address is not given out again, so that later
// use is a finding. An address that is none is ignored.
func (d *Device) Free(address uint64) {
	for i, a := range d.allocations {
		if a.base == address {
			d.allocations = append(d.allocations[:i], d.allocations[i+1:]...)
			return
		}
	}
}

// Write copies b to device memory.
func (d *Device) Write(address uint64, b []byte) error {
	a, at, err := d.span(address, len(b))
	if err != nil || len(b) == 0 {
		return err
	}
	copy(a.data[at:], b)
	a.hostWrote(at, len(b))
	return nil
}

// Read copies device memory to b. Bytes that were never written are 0xff.
func (d *Device) Read(b []byte, address uint64) error {
	a, at, err := d.span(address, len(b))
	if err == nil && len(b) > 0 {
		copy(b, a.data[at:])
	}
	return err
}

// Initialized says whether all of n bytes have been written; false where they
// are not in one allocation. Detectors must be on.
func (d *Device) Initialized(address uint64, n int) bool {
	a, at, err := d.span(address, n)
	return err == nil && (n == 0 || a.unset(at, n) < 0)
}

func (d *Device) span(address uint64, n int) (*allocation, int, error) {
	if n == 0 {
		return nil, 0, nil
	}
	a := d.find(address)
	if a == nil || !a.holds(address, n) {
		return nil, 0, fault.Newf(fault.Internal, "copy of %d bytes at %#x: %s", n, address, a.describe(address))
	}
	return a, int(address - a.base), nil
}

// find is the last allocation that begins at or before address; nil where
// there is none.
func (d *Device) find(address uint64) *allocation {
	i := sort.Search(len(d.allocations), func(i int) bool { return d.allocations[i].base > address })
	if i == 0 {
		return nil
	}
	return d.allocations[i-1]
}
