package ptxsim

import (
	"strconv"
	"strings"
)

// A scope holds the registers of one pair of braces.
type scope struct {
	ranges map[string]registers // %r of "%r<60>"
	single map[string]registers // names without a count
	used   map[string]register
}

type registers struct {
	count, bits int // bits 1: predicates
}

// A register has a slot once an instruction names it, so that a count in a
// declaration costs nothing.
type register struct {
	slot int32
	bits int
}

func newScope() *scope {
	return &scope{map[string]registers{}, map[string]registers{}, map[string]register{}}
}

// maxSlots bounds the registers and constants of a kernel, 256 bytes each in a warp.
const maxSlots = 1 << 14

// registers reads a .reg declaration.
func (p *parser) registers() {
	t := p.name()
	bits := 8 * typeBytes[t]
	if t == ".pred" {
		bits = 1
	}
	if bits == 0 {
		p.refuse("register type %q", t)
	}
	s := p.body.scopes[len(p.body.scopes)-1]
	for {
		name := p.name()
		if p.accept("<") {
			s.ranges[name] = registers{p.integer(maxIndex), bits}
			p.expect(">")
		} else {
			s.single[name] = registers{1, bits}
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
}

// lookup finds a declared register, from the innermost scope outwards.
func (p *parser) lookup(name string) (register, bool) {
	for i := len(p.body.scopes) - 1; i >= 0; i-- {
		s := p.body.scopes[i]
		if r, ok := s.used[name]; ok {
			return r, true
		}
		if bits := s.declares(name); bits != 0 {
			r := register{p.newRegister(bits), bits}
			s.used[name] = r
			return r, true
		}
	}
	return register{}, false
}

// declares returns the bits of a register of s, 0 where it has none of that name.
func (s *scope) declares(name string) int {
	if r, ok := s.single[name]; ok {
		return r.bits
	}
	prefix := strings.TrimRight(name, "0123456789")
	if r, ok := s.ranges[prefix]; ok {
		if n, err := strconv.Atoi(name[len(prefix):]); err == nil && n < r.count {
			return r.bits
		}
	}
	return 0
}

func (p *parser) newRegister(bits int) int32 {
	if bits == 1 {
		if p.k.predicates++; p.k.predicates > maxSlots {
			p.refuse("more than %d predicates", maxSlots)
		}
		return int32(p.k.predicates - 1)
	}
	return p.newSlot()
}

func (p *parser) newSlot() int32 {
	if p.k.slots++; p.k.slots > maxSlots {
		p.refuse("more than %d registers and constants", maxSlots)
	}
	return int32(p.k.slots - 1)
}

// constant is a slot that holds v in every lane.
func (p *parser) constant(v uint64) int32 {
	slot, ok := p.body.constants[v]
	if !ok {
		slot = p.newSlot()
		p.body.constants[v] = slot
		p.k.constants = append(p.k.constants, constant{slot, v})
	}
	return slot
}
