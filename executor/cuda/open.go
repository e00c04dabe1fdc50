//go:build cuda && linux && amd64

package cuda

import (
	"errors"
	"fmt"

	"etc/executor/cuda/driver"
	"etc/executor/gpu"
	"etc/fault"
)

// Available reports whether this program has the GPU executor in it.
func Available() bool { return true }

// Open opens a device by its number, from 0. Where there is no driver or no
// such device it is fault.Unavailable.
func Open(number int) (gpu.Driver, error) {
	if err := driver.Open(); err != nil {
		return nil, err
	}
	n, err := driver.Count()
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, fault.Newf(fault.Unavailable, "cuda: the driver sees no device")
	case number < 0 || number >= n:
		return nil, fault.Newf(fault.Unavailable, "cuda:%d: no such device, there are 0 to %d", number, n-1)
	}
	c, err := driver.NewContext(number)
	if err != nil {
		return nil, err
	}
	d := &device{context: c, name: fmt.Sprintf("cuda:%d %s", number, c.Name)}
	if err := c.Do(d.open); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// open makes the streams and what goes with them.
func (d *device) open() error {
	var err error
	for _, s := range []*driver.Stream{&d.copies, &d.kernels, &d.recorded} {
		if *s, err = driver.NewStream(); err != nil {
			return err
		}
		d.opened = append(d.opened, s.Destroy)
	}
	events := []*driver.Event{}
	for i := range d.slots {
		events = append(events, &d.slots[i].uploaded, &d.slots[i].done)
	}
	for i := range d.stages {
		events = append(events, &d.stages[i].copied)
	}
	for _, e := range events {
		if *e, err = driver.NewEvent(); err != nil {
			return err
		}
		d.opened = append(d.opened, e.Destroy)
	}
	for i := range d.stages {
		b, err := driver.AllocHost(stageBytes)
		if err != nil {
			return err
		}
		d.stages[i].bytes = b
		d.opened = append(d.opened, func() error { return driver.FreeHost(b) })
	}
	return nil
}

// Close gives back what open made, and the device.
func (d *device) Close() error {
	err := d.context.Do(func() error {
		var errs []error
		for _, undo := range d.opened {
			errs = append(errs, undo())
		}
		return errors.Join(errs...)
	})
	d.opened = nil
	return errors.Join(err, d.context.Close())
}
