//go:build cuda && linux && amd64

package cuda

import (
	"fmt"

	"etc/executor/cuda/driver"
	"etc/executor/gpu"
)

// A sequence is a CUDA graph.
type sequence struct {
	device *device
	graph  driver.Graph
}

// Close gives the graph back; where it is running, it runs to its end.
func (s *sequence) Close() error { return s.device.context.Do(s.graph.Destroy) }

// Prepare makes a graph of the operations.
func (d *device) Prepare(ops []gpu.Operation) (gpu.Sequence, error) {
	s := &sequence{device: d}
	err := d.context.Do(func() (err error) {
		s.graph, err = d.recorded.Capture(func() error { return record(d.recorded, ops) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// record puts the operations into a stream. A kernel that follows a kernel
// starts early where both wait for the one before them: what a kernel may read
// then was written before its predecessor ended.
func record(to driver.Stream, ops []gpu.Operation) error {
	after := false // a kernel that waits
	for _, op := range ops {
		var err error
		if op.Function == nil {
			err = to.Copy(driver.Address(op.To), driver.Address(op.From), op.Bytes)
			after = false
		} else {
			f := op.Function.(function)
			launch := to.Launch
			if after && f.waits {
				launch = to.LaunchEarly
			}
			err = launch(f.Function, op.Grid, op.Threads, op.Shared, bits(op.Args))
			after = f.waits
		}
		if err != nil {
			return fmt.Errorf("%s: %w", op.Label, err)
		}
	}
	return nil
}

// bits are the arguments as Launch takes them.
func bits(args []gpu.Arg) []uint64 {
	list := make([]uint64, len(args))
	for i, a := range args {
		list[i] = a.Bits
	}
	return list
}

// Start puts w into the streams.
func (d *device) Start(at int, w gpu.Work) error {
	for _, list := range [][]gpu.Transfer{w.Upload, w.Download} {
		for _, t := range list {
			d.mustBeStaged(t.Host)
		}
	}
	s := &d.slots[at]
	return d.context.Do(func() error {
		if err := d.upload(s, w.Upload); err != nil {
			return err
		}
		if err := d.kernels.Wait(s.uploaded); err != nil {
			return err
		}
		if err := w.Sequence.(*sequence).graph.Launch(d.kernels); err != nil {
			return err
		}
		for _, t := range w.Download {
			if err := d.kernels.CopyOut(t.Host, driver.Address(t.Device)); err != nil {
				return err
			}
		}
		return d.kernels.Record(s.done)
	})
}

// upload starts a slot's uploads, after the batch that was in it before.
func (d *device) upload(s *slot, list []gpu.Transfer) error {
	if err := d.copies.Wait(s.done); err != nil {
		return err
	}
	for _, t := range list {
		if err := d.copies.CopyIn(driver.Address(t.Device), t.Host); err != nil {
			return err
		}
	}
	return d.copies.Record(s.uploaded)
}

// Wait returns when the slot's batch is done. Where a kernel failed, all later
// calls fail as well: the driver gives the device up.
func (d *device) Wait(at int) error {
	return d.context.Do(d.slots[at].done.Synchronize)
}
