//go:build cuda && linux && amd64

package cuda

import (
	"errors"
	"unsafe"

	"etc/executor/cuda/driver"
	"etc/executor/gpu"
	"etc/fault"
)

// A device implements gpu.Driver. Two streams let the copies of one batch run
// beside the kernels of another:
//
//	copies:   uploads of a slot      → uploaded
//	kernels:  uploaded → its sequence, its downloads → done → (Wait; the slot's next uploads)
type device struct {
	name     string
	context  *driver.Context
	copies   driver.Stream
	kernels  driver.Stream
	recorded driver.Stream // where sequences are captured; nothing ever runs in it
	slots    [gpu.Slots]slot
	stages   [2]stage
	staging  [][]byte       // what Staging gave and has not got back
	opened   []func() error // undo what open did
}

// A slot is the events of a batch under way.
type slot struct{ uploaded, done driver.Event }

// A stage is pinned memory through which Upload goes: while the device takes
// one, the host fills the other.
type stage struct {
	bytes  []byte
	copied driver.Event
}

// stageBytes is large enough that a copy takes far longer than its start, a
// few microseconds.
const stageBytes = 4 << 20

func (d *device) Name() string { return d.name }

func (d *device) SM() int { return d.context.SM }

// Memory is 0, 0 where the driver does not answer.
func (d *device) Memory() (free, total int64) {
	if err := d.context.Do(func() (err error) { free, total, err = driver.Memory(); return err }); err != nil {
		return 0, 0
	}
	return free, total
}

func (d *device) Alloc(name string, bytes int64) (at gpu.Address, err error) {
	err = d.context.Do(func() error {
		a, err := driver.Alloc(name, bytes)
		at = gpu.Address(a)
		return err
	})
	return at, err
}

func (d *device) Free(at gpu.Address) error {
	return d.context.Do(func() error { return driver.Free(driver.Address(at)) })
}

// Upload reads b only in Go, never in the driver, because b may lie in a file
// that shrinks: mapped.Guard makes an error of that in Go alone.
func (d *device) Upload(to gpu.Address, b []byte) error {
	return d.context.Do(func() error {
		for i := 0; len(b) > 0; i++ {
			s := &d.stages[i%len(d.stages)]
			if err := s.copied.Synchronize(); err != nil {
				return err
			}
			n := copy(s.bytes, b)
			if err := d.copies.CopyIn(driver.Address(to), s.bytes[:n]); err != nil {
				return err
			}
			if err := d.copies.Record(s.copied); err != nil {
				return err
			}
			to, b = to+gpu.Address(n), b[n:]
		}
		return d.copies.Synchronize()
	})
}

// Staging gives pinned memory.
func (d *device) Staging(bytes int) (b []byte, err error) {
	err = d.context.Do(func() error { b, err = driver.AllocHost(bytes); return err })
	if err == nil {
		d.staging = append(d.staging, b)
	}
	return b, err
}

func (d *device) FreeStaging(b []byte) error {
	for i, s := range d.staging {
		if unsafe.SliceData(s) == unsafe.SliceData(b) {
			d.staging = append(d.staging[:i], d.staging[i+1:]...)
			return d.context.Do(func() error { return driver.FreeHost(s) })
		}
	}
	panic("bug: executor/cuda: memory is given back that Staging did not give")
}

// mustBeStaged panics where b does not lie in memory of Staging: the device
// would read or write it after the call, when Go may have put something else there.
func (d *device) mustBeStaged(b []byte) {
	if len(b) == 0 {
		return
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for _, s := range d.staging {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
		if start <= at && at+uintptr(len(b)) <= start+uintptr(len(s)) {
			return
		}
	}
	panic("bug: executor/cuda: a transfer of memory that Staging did not give")
}

// Load loads machine code or PTX, which the driver tells apart.
func (d *device) Load(image []byte, _ bool) (gpu.Module, error) {
	m := &module{device: d}
	err := d.context.Do(func() (err error) {
		if m.module, err = driver.LoadModule(image); err != nil || !d.startsEarly() {
			return err
		}
		if m.waits, err = m.module.Waits(); err != nil {
			err = errors.Join(err, m.module.Unload())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// startsEarly reports whether device and driver can start a kernel of a graph
// before the one before it has ended.
func (d *device) startsEarly() bool {
	major, minor := driver.Version()
	return d.context.SM >= 90 && (major > 12 || major == 12 && minor >= 3)
}

type module struct {
	device *device
	module driver.Module
	waits  bool // its kernels wait for the one before them
}

// A function is a gpu.Function.
type function struct {
	driver.Function
	waits bool
}

// plainShared is the dynamic shared memory that every kernel may have.
const plainShared = 48 << 10

// Function finds a kernel. One that is not there is fault.Corrupt, one that
// needs more shared memory than the device has fault.Unfit.
func (m *module) Function(entry string, shared int) (f gpu.Function, err error) {
	if most := m.device.context.Shared; shared > max(most, plainShared) {
		return nil, fault.Newf(fault.Unfit, "%s needs %d bytes of shared memory, %s has %d", entry, shared, m.device.name, most)
	}
	err = m.device.context.Do(func() error {
		found, err := m.module.Function(entry)
		if driver.Code(err) == driver.NotFound {
			return fault.Newf(fault.Corrupt, "the code has no kernel %s: %w", entry, err)
		}
		if err == nil && shared > plainShared {
			err = found.AllowShared(shared)
		}
		f = function{found, m.waits}
		return err
	})
	return f, err
}

func (m *module) Close() error { return m.device.context.Do(m.module.Unload) }
