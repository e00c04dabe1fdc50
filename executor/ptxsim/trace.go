package ptxsim

import "bytes"

// A Trace holds what was done on each device that was made with it, in order,
// so that it can be done again elsewhere.
type Trace struct{ Devices []*Traced }

// Traced is what was done on one device.
type Traced struct {
	Memory  []*TracedMemory // in order of allocation
	Actions []Action
}

// TracedMemory is one allocation of a device.
type TracedMemory struct {
	Name    string
	Address uint64
	of      *allocation
}

// Bytes is what the memory holds now, or held when it was given back; bytes
// that nothing wrote are 0xff. The caller must not change them.
func (m *TracedMemory) Bytes() []byte { return m.of.data }

// An Action is a launch, or a write of the host where Launch is nil.
type Action struct {
	Launch  *Launch
	Address uint64
	Bytes   []byte
}

func (o Options) traced() *Traced {
	if o.Trace == nil {
		return nil
	}
	t := &Traced{}
	o.Trace.Devices = append(o.Trace.Devices, t)
	return t
}

func (t *Traced) allocated(a *allocation) {
	if t != nil {
		t.Memory = append(t.Memory, &TracedMemory{a.name, a.base, a})
	}
}

func (t *Traced) wrote(address uint64, b []byte) {
	if t != nil {
		t.Actions = append(t.Actions, Action{Address: address, Bytes: bytes.Clone(b)})
	}
}

func (t *Traced) launched(l Launch) {
	if t != nil {
		l.Args = append([]Arg(nil), l.Args...)
		t.Actions = append(t.Actions, Action{Launch: &l})
	}
}
