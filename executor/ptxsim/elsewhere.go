package ptxsim

import (
	"bytes"
	"slices"
)

// Memory is one allocation of a device, around a launch.
type Memory struct {
	Name    string
	Address uint64
	Before  []byte // what it held before the launch; bytes that nothing wrote are 0xff
	After   []byte // what it holds, for the host and later launches: may be written
}

// memories are all allocations in use, by address, as they are before a
// launch; nil where nobody asks.
func (d *Device) memories() []Memory {
	if d.options.Elsewhere == nil {
		return nil
	}
	var all []Memory
	for _, a := range d.allocations {
		all = append(all, Memory{a.name, a.base, bytes.Clone(a.data), a.data})
	}
	return all
}

// elsewhere hands over a launch that has passed here.
func (d *Device) elsewhere(l Launch, all []Memory) error {
	if d.options.Elsewhere == nil {
		return nil
	}
	l.Args = slices.Clone(l.Args)
	return d.options.Elsewhere(l, all)
}
