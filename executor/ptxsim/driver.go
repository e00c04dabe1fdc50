package ptxsim

import (
	"fmt"

	"etc/executor/gpu"
	"etc/executor/memory"
	"etc/fault"
)

// A Driver lets plans run in the simulator: a gpu.Driver that takes PTX only
// and does everything at once. Its memory is the host's: what does not fit is
// refused before it is taken.
type Driver struct {
	device    *Device
	available func() int64 // bytes of host memory, 0 where it is not known
}

// NewDriver makes a simulated device.
func NewDriver(o Options) *Driver { return &Driver{NewDevice(o), memory.Available} }

// Device is the simulated device, for its counters.
func (d *Driver) Device() *Device { return d.device }

func (d *Driver) Name() string { return "sim" }

// SM is 0: PTX for any device will do.
func (d *Driver) SM() int { return 0 }

// watchedBytes is what readGranule bytes take with the marks of detectors.
const watchedBytes = readGranule + 4*(readGranule/writeGranule) + 4

// Memory is the host's that is free, less what detectors will note of it, of
// that without them.
func (d *Driver) Memory() (free, total int64) {
	have := d.available()
	if d.device.options.Unchecked {
		return have, have
	}
	return have / watchedBytes * readGranule, have
}

// mostBytes bounds one allocation, so that a size that overflows elsewhere is
// an error here.
const mostBytes = 1 << 38

// Alloc gives memory that counts as not initialised.
func (d *Driver) Alloc(name string, bytes int64) (gpu.Address, error) {
	if free, total := d.Memory(); bytes < 0 || bytes > mostBytes || total > 0 && bytes > free {
		return 0, fault.Newf(fault.Memory, "sim: %d bytes for %s, %d are free", bytes, name, free)
	}
	return gpu.Address(d.device.Alloc(name, int(bytes))), nil
}

func (d *Driver) Free(a gpu.Address) error {
	d.device.Free(uint64(a))
	return nil
}

func (d *Driver) Upload(to gpu.Address, b []byte) error { return d.device.Write(uint64(to), b) }

// Staging gives memory of the host, which nothing is noted of.
func (d *Driver) Staging(bytes int) ([]byte, error) {
	if have := d.available(); have > 0 && int64(bytes) > have {
		return nil, fault.Newf(fault.Memory, "sim: %d bytes for what enters and leaves, %d are free", bytes, have)
	}
	return make([]byte, bytes), nil
}

func (d *Driver) FreeStaging([]byte) error { return nil }

// Load reads PTX.
func (d *Driver) Load(image []byte, ptx bool) (gpu.Module, error) {
	if !ptx {
		return nil, fault.Newf(fault.Unfit, "sim: machine code, want PTX")
	}
	m, err := Parse(image)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "sim: %w", err)
	}
	return simModule{m}, nil
}

type simModule struct{ *Module }

func (m simModule) Function(entry string, _ int) (gpu.Function, error) {
	k, err := m.Kernel(entry)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "sim: %w", err)
	}
	return k, nil
}

func (m simModule) Close() error { return nil }

// A simSequence is run as it stands.
type simSequence []gpu.Operation

func (simSequence) Close() error { return nil }

func (d *Driver) Prepare(ops []gpu.Operation) (gpu.Sequence, error) { return simSequence(ops), nil }

// Start does all of w. Findings of the detectors are its error.
func (d *Driver) Start(_ int, w gpu.Work) error {
	for _, t := range w.Upload {
		if err := d.device.Write(uint64(t.Device), t.Host); err != nil {
			return err
		}
	}
	for _, op := range w.Sequence.(simSequence) {
		if err := d.run(op); err != nil {
			return fmt.Errorf("%s: %w", op.Label, err)
		}
	}
	for _, t := range w.Download {
		if err := d.device.Read(t.Host, uint64(t.Device)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) run(op gpu.Operation) error {
	if op.Function == nil {
		b := make([]byte, op.Bytes)
		if err := d.device.Read(b, uint64(op.From)); err != nil {
			return err
		}
		return d.device.Write(uint64(op.To), b)
	}
	l := Launch{Kernel: op.Function.(*Kernel), Grid: op.Grid, Block: [3]int{op.Threads, 1, 1}, Shared: op.Shared}
	for _, a := range op.Args {
		l.Args = append(l.Args, Arg{Bits: a.Bits, Size: a.Size})
	}
	if err := d.device.Launch(l); err != nil {
		// Ours have none: what a detector finds is in the plan's code.
		return fault.Newf(fault.Corrupt, "sim: %w", err)
	}
	return nil
}

func (d *Driver) Wait(int) error { return nil }

func (d *Driver) Close() error { return nil }
