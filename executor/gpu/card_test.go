package gpu

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"etc/fault"
)

// A card is a Driver that runs nothing and watches everything: each address
// that it is given lies in memory in use, memory is given back once, and what
// is under way is left alone. Downloads are bytes that say where they come from.
type card struct {
	t          *testing.T
	sm         int
	free       int64 // bytes, 0: not known
	next       Address
	live       map[Address]*Allocation
	order      []*Allocation // all there were
	staging    map[*byte]int
	open       map[*cardSequence]bool
	made       int
	works      [Slots]*Work // under way
	ran        []*cardSequence
	failAlloc  string // the name that gets no memory
	failStart  bool
	waits      int
	onDownload func(Transfer)
}

type cardSequence struct {
	card   *card
	number int
	ops    []Operation
}

func newCard(t *testing.T, sm int) *card {
	return &card{t: t, sm: sm, next: 1 << 32, live: map[Address]*Allocation{}, staging: map[*byte]int{}, open: map[*cardSequence]bool{}}
}

func (c *card) Name() string                   { return "card" }
func (c *card) SM() int                        { return c.sm }
func (c *card) Memory() (free, total int64)    { return c.free, c.free }
func (c *card) function(entry string) Function { return entry }

// Alloc leaves a gap behind all memory, so that what lies past an end is nobody's.
func (c *card) Alloc(name string, bytes int64) (Address, error) {
	if name == c.failAlloc {
		return 0, fault.Newf(fault.Memory, "no memory for %s", name)
	}
	if bytes <= 0 {
		c.t.Errorf("%d bytes of %s are wanted", bytes, name)
	}
	a := &Allocation{Name: name, At: c.next, Bytes: bytes}
	c.next += (Address(bytes)+1<<20)&^(blockAlign-1) + blockAlign
	c.live[a.At] = a
	c.order = append(c.order, a)
	return a.At, nil
}

func (c *card) Free(a Address) error {
	m := c.live[a]
	if m == nil {
		c.t.Errorf("%#x is given back, where no memory in use begins", a)
		return nil
	}
	delete(c.live, a)
	for slot, w := range c.works {
		if w != nil && c.uses(w, m) {
			c.t.Errorf("%s is given back while slot %d uses it", m.Name, slot)
		}
	}
	return nil
}

// uses reports whether w has an address in m.
func (c *card) uses(w *Work, m *Allocation) bool {
	in := func(a Address) bool { return a >= m.At && a < m.At+Address(m.Bytes) }
	for _, t := range slices.Concat(w.Upload, w.Download) {
		if in(t.Device) {
			return true
		}
	}
	return slices.ContainsFunc(w.Sequence.(*cardSequence).ops, func(o Operation) bool {
		return in(o.To) || in(o.From) || slices.ContainsFunc(o.Args, func(a Arg) bool { return a.Size == 8 && in(Address(a.Bits)) })
	})
}

// find is the memory in use that holds n bytes at a.
func (c *card) find(a Address, n int64) *Allocation {
	for _, m := range c.live {
		if a >= m.At && a-m.At+Address(n) <= Address(m.Bytes) {
			return m
		}
	}
	return nil
}

func (c *card) has(what string, a Address, n int64) {
	if c.find(a, n) == nil {
		c.t.Errorf("%s: %d bytes at %#x are in no memory in use", what, n, a)
	}
}

func (c *card) Upload(to Address, b []byte) error {
	c.has("upload", to, int64(len(b)))
	return nil
}

func (c *card) Staging(n int) ([]byte, error) {
	b := make([]byte, n)
	c.staging[&b[0]] = n
	return b, nil
}

func (c *card) FreeStaging(b []byte) error {
	if c.staging[&b[0]] == 0 {
		c.t.Error("host memory is given back twice")
	}
	delete(c.staging, &b[0])
	return nil
}

func (c *card) Load([]byte, bool) (Module, error) {
	return nil, fault.Newf(fault.Internal, "a card has no code")
}

func (c *card) Prepare(ops []Operation) (Sequence, error) {
	for _, o := range ops {
		if o.Function == nil {
			c.has(o.Label, o.From, o.Bytes)
			c.has(o.Label, o.To, o.Bytes)
			continue
		}
		for i, a := range o.Args {
			if a.Size == 8 && a.Bits != 0 {
				c.has(fmt.Sprintf("%v: argument %d", o.Function, i), Address(a.Bits), 1)
			}
		}
	}
	c.made++
	q := &cardSequence{c, c.made, ops}
	c.open[q] = true
	return q, nil
}

func (q *cardSequence) Close() error {
	if !q.card.open[q] {
		q.card.t.Errorf("sequence %d is closed twice", q.number)
	}
	delete(q.card.open, q)
	return nil
}

func (c *card) Start(slot int, w Work) error {
	if c.failStart {
		return fault.Newf(fault.Internal, "no start")
	}
	if c.works[slot] != nil {
		c.t.Errorf("slot %d is used while its work is under way", slot)
	}
	q := w.Sequence.(*cardSequence)
	if !c.open[q] {
		c.t.Errorf("sequence %d runs after it was closed", q.number)
	}
	for _, t := range slices.Concat(w.Upload, w.Download) {
		c.has("transfer", t.Device, int64(len(t.Host)))
	}
	c.works[slot] = &w
	c.ran = append(c.ran, q)
	return nil
}

// Wait puts the number i/4 into each four bytes i of a download.
func (c *card) Wait(slot int) error {
	c.waits++
	w := c.works[slot]
	if w == nil {
		return nil
	}
	c.works[slot] = nil
	for _, t := range w.Download {
		for i := 0; i+4 <= len(t.Host); i += 4 {
			binary.LittleEndian.PutUint32(t.Host[i:], uint32(i/4))
		}
		if c.onDownload != nil {
			c.onDownload(t)
		}
	}
	return nil
}

// Close finds all memory given back.
func (c *card) Close() error {
	for _, m := range c.live {
		c.t.Errorf("%s is never given back", m.Name)
	}
	if len(c.staging) > 0 || len(c.open) > 0 {
		c.t.Errorf("%d pieces of host memory and %d sequences are never given back", len(c.staging), len(c.open))
	}
	return nil
}
