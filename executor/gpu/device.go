// Package gpu runs the GPU programs of plans on a Driver: a card, or the
// simulator.
//
// A checked program is loaded once: its kernels as the device takes them, its
// weights into device memory. For each shape of batch (a bucket, and how many
// tokens and rows there are at most) its steps become a sequence of launches,
// which serves every batch of that shape: what differs between them lies in
// device memory. Every argument and grid is derived here from the steps that
// plan.Check has seen; nothing of a launch is read from the file but the code.
package gpu

import (
	"fmt"
	"strings"

	"etc/executor"
	"etc/fault"
	"etc/formats/mapped"
	"etc/formats/plan"
)

// A Device implements executor.Device.
type Device struct {
	driver   Driver
	program  *plan.Program
	modules  []Module
	kernels  map[int]Function // by index into the plan's kernels
	weights  map[int]Address  // by index into the plan's weights, of those that steps read
	arena    [2]Address       // per token, per row
	work     Address          // workspace of the steps that need one
	capacity capacity
	slots    [Slots]slot
	next     int // slot of the next batch
	cache    cache
	counters executor.Counters
}

// A capacity is the sizes in bytes of what batches share.
type capacity struct {
	arena [2]int64
	work  int64
}

func (c capacity) bytes() int64 { return c.arena[0] + c.arena[1] + c.work }

// New makes a device of a driver, which it closes with itself.
func New(d Driver) *Device { return &Device{driver: d} }

func (d *Device) Name() string { return d.driver.Name() }

func (d *Device) Counters() executor.Counters { return d.counters }

// Program is the one of p's programs that suits the device best: the one for
// the highest compute capability that it has. Where there is none, or the device
// does not take the code of its kernels, it is fault.Unfit.
func (d *Device) Program(p *plan.Plan) (*plan.Program, error) {
	var best *plan.Program
	var targets []string
	for _, g := range p.Programs {
		targets = append(targets, g.Target)
		sm := plan.SM(g.Target)
		if sm == 0 {
			continue
		}
		simulated := d.driver.SM() == 0
		if best == nil && (simulated || sm <= d.driver.SM()) || best != nil && !simulated && sm <= d.driver.SM() && sm > plan.SM(best.Target) {
			best = g
		}
	}
	if best == nil {
		return nil, fault.Newf(fault.Unfit, "plan has no code for %s: it is for %s", d.Name(), strings.Join(targets, ", ")).
			WithHint("etc compile --target %s makes one that fits", d.wantedTarget())
	}
	if _, ok := d.driver.(codeless); ok {
		return best, nil
	}
	for _, i := range best.UsedKernels() {
		if _, err := d.image(&best.Kernels[i]); err != nil {
			return nil, err
		}
	}
	return best, nil
}

func (d *Device) wantedTarget() string {
	if d.driver.SM() >= 90 {
		return "sm_90"
	}
	return "sm_80"
}

// Load loads the code and weights of p, and makes room for batches of up to
// maxTokens tokens and the outputs wanted.
func (d *Device) Load(p *plan.Program, maxTokens int, wanted uint64) error {
	if plan.SM(p.Target) == 0 {
		return fault.Newf(fault.Unfit, "program for %s, this device runs CUDA", p.Target).WithHint("etc compile --target %s makes one that fits", d.wantedTarget())
	}
	d.unload()
	d.program, d.counters = p, executor.Counters{}
	for i := range d.slots {
		d.slots[i].results = make([][]float32, len(p.Outputs))
	}
	if err := d.checkMemory(maxTokens, wanted); err != nil {
		return err
	}
	if err := mapped.Guard(d.loadCode); err != nil {
		return err
	}
	if err := mapped.Guard(d.loadWeights); err != nil {
		return err
	}
	return d.reserve(largest(maxTokens, wanted))
}

// loadCode loads each kernel that a step runs.
func (d *Device) loadCode() error {
	d.kernels = map[int]Function{}
	for _, i := range d.program.UsedKernels() {
		k := &d.program.Kernels[i]
		if r, ok := d.driver.(codeless); ok {
			d.kernels[i] = r.function(k.Entry())
			continue
		}
		image, err := d.image(k)
		if err != nil {
			return err
		}
		m, err := d.driver.Load(d.program.Code[image.Code.Offset:image.Code.Offset+image.Code.Size], image.PTX)
		if err != nil {
			return prefix(k.Entry(), err)
		}
		d.modules = append(d.modules, m)
		if d.kernels[i], err = m.Function(k.Entry(), k.Shared); err != nil {
			return prefix(k.Entry(), err)
		}
	}
	return nil
}

// A codeless driver runs nothing: it takes the names of kernels for them, so
// that a plan of sources will do.
type codeless interface{ function(entry string) Function }

func prefix(name string, err error) error { return fmt.Errorf("kernel %s: %w", name, err) }

// image is the form of a kernel that the device takes: machine code of its own
// generation, as near to it as there is, else PTX.
func (d *Device) image(k *plan.Kernel) (*plan.Image, error) {
	sm := d.driver.SM()
	var best *plan.Image
	var have []string
	for i := range k.Images {
		m := &k.Images[i]
		have = append(have, m.String())
		fits := m.PTX && (sm == 0 || m.SM <= sm)
		if sm != 0 && !m.PTX {
			fits = m.SM/10 == sm/10 && m.SM <= sm
		}
		if fits && (best == nil || best.PTX && !m.PTX || best.PTX == m.PTX && m.SM > best.SM) {
			best = m
		}
	}
	switch {
	case best != nil:
		return best, nil
	case len(have) == 0:
		return nil, fault.Newf(fault.Unfit, "plan holds the source of its kernels only (--source-only), nothing that %s runs", d.Name()).
			WithHint("compile it again without --source-only")
	}
	return nil, fault.Newf(fault.Unfit, "kernel %s is compiled for %s, %s needs sm_%d", k.Entry(), strings.Join(have, ", "), d.Name(), sm).
		WithHint("etc compile --target %s makes a plan that fits", d.wantedTarget())
}

// loadWeights copies the weights that steps read.
func (d *Device) loadWeights() error {
	d.weights = map[int]Address{}
	for _, i := range d.program.UsedWeights() {
		w := &d.program.Weights[i]
		at, err := d.driver.Alloc(w.Name, max(w.Size, 1))
		if err != nil {
			return err
		}
		d.weights[i] = at
		if err := d.driver.Upload(at, d.program.Data[w.Offset:w.Offset+w.Size]); err != nil {
			return err
		}
	}
	return nil
}

// Run computes the wanted outputs of b.
func (d *Device) Run(b *executor.Batch) error {
	if err := d.Start(b); err != nil {
		return err
	}
	return d.Wait(b)
}

// Start begins a batch, and Wait ends it: up to Slots batches may be under
// way, which end in the order they began.
func (d *Device) Start(b *executor.Batch) error {
	at := d.next
	s := &d.slots[at]
	if s.batch != nil {
		return fault.Newf(fault.Internal, "bug: executor/gpu: slot %d is taken", at)
	}
	sh := shapeOf(b)
	if err := d.reserve(sh); err != nil {
		return err
	}
	if err := d.prepare(at, sh); err != nil {
		return err
	}
	sequence, err := d.sequence(at, sh)
	if err != nil {
		return err
	}
	blockOf(sh).fill(s.in, b)
	s.batch = b
	err = d.driver.Start(at, Work{
		Upload:   []Transfer{{s.in[:blockOf(sh).size], s.block}},
		Sequence: sequence,
		Download: d.downloads(s, sh),
	})
	if err != nil { // some of it may be under way all the same
		s.batch = nil
		d.driver.Wait(at)
		return err
	}
	d.next = (at + 1) % Slots
	return nil
}

// Wait waits for b, which Start began, and gives it its results.
func (d *Device) Wait(b *executor.Batch) error {
	for i := range d.slots {
		s := &d.slots[i]
		if s.batch != b {
			continue
		}
		s.batch = nil
		if err := d.driver.Wait(i); err != nil {
			return err
		}
		d.count(b)
		d.unpack(s, b)
		return nil
	}
	return fault.Newf(fault.Internal, "bug: executor/gpu: a batch is waited for that was not started")
}

// Close frees all that the device holds, and closes the driver.
func (d *Device) Close() error {
	d.unload()
	return d.driver.Close()
}

// unload gives everything back, once what is under way has ended. Errors of
// that are of no use to anyone.
func (d *Device) unload() {
	d.idle()
	d.cache.clear()
	for i := range d.slots {
		d.slots[i].free(d.driver)
		d.slots[i] = slot{}
	}
	for _, at := range d.weights {
		d.driver.Free(at)
	}
	d.freeShared()
	for _, m := range d.modules {
		m.Close()
	}
	d.weights, d.kernels, d.modules, d.next = nil, nil, nil, 0
}

func (d *Device) freeShared() {
	for _, at := range []Address{d.arena[0], d.arena[1], d.work} {
		if at != 0 {
			d.driver.Free(at)
		}
	}
	d.arena, d.work, d.capacity = [2]Address{}, 0, capacity{}
}
