package executor

import (
	"errors"

	"etc/formats/plan"
)

// Open opens and checks the plan at path and loads it onto d, as plan.Open and
// New do. Close of the executor closes both; where Open fails, the device stays
// open.
func Open(path string, d Device, o Options) (*Executor, error) {
	file, err := plan.Open(path, plan.OpenOptions{Trust: o.Trust})
	if err != nil {
		return nil, err
	}
	p, err := d.Program(file.Plan)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	x, err := New(p, d, o)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	x.file = file
	return x, nil
}

// Close frees the device, then the plan if Open opened it.
func (x *Executor) Close() error {
	err := x.device.Close()
	if x.file != nil {
		err = errors.Join(err, x.file.Close())
	}
	return err
}
