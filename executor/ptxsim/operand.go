package ptxsim

import (
	"math"
	"strconv"
	"strings"
)

// An operand as written.
type operand struct {
	form operandForm
	name string    // of simple: a register, symbol or "_"
	not  bool      // of simple: "!p"
	imm  uint64    // of literal
	list []operand // of vector and pair
	off  int64     // of address
}

type operandForm uint8

const (
	simple  operandForm = iota
	literal             // a number
	vector              // {a, b}
	pair                // a|b
	address             // [a+off]; a is list[0]
)

// operands reads the operands of an instruction and the semicolon behind.
func (p *parser) operands() []operand {
	var list []operand
	for !p.accept(";") {
		list = append(list, p.operand(0))
		if len(list) > 32 {
			p.refuse("too many operands")
		}
		if !p.accept(",") {
			p.expect(";")
			break
		}
	}
	return list
}

func (p *parser) operand(depth int) operand {
	if depth > 2 {
		p.refuse("operand is nested too deep")
	}
	switch {
	case p.accept("{"):
		o := operand{form: vector}
		for {
			o.list = append(o.list, p.operand(depth+1))
			if !p.accept(",") {
				break
			}
		}
		p.expect("}")
		return o
	case p.accept("["):
		return p.address(depth)
	}
	o := p.simple()
	if p.accept("|") {
		return operand{form: pair, list: []operand{o, p.simple()}}
	}
	return o
}

func (p *parser) address(depth int) operand {
	o := operand{form: address, list: []operand{p.simple()}}
	for p.peek().is("+") || p.peek().is("-") {
		negative := p.next().is("-")
		v := int64(p.immediate(8))
		if negative {
			v = -v
		}
		o.off += v
	}
	p.expect("]")
	return o
}

func (p *parser) simple() operand {
	t := p.peek()
	if t.kind == number || t.is("-") {
		return operand{form: literal, imm: p.immediate(8)}
	}
	if p.accept("!") {
		return operand{name: p.name(), not: true}
	}
	return operand{name: p.name()}
}

// immediate reads a number of so many bytes: an integer or, as 0f… and 0d…,
// the bits of a float32 or float64.
func (p *parser) immediate(bytes int) uint64 {
	negative := p.accept("-")
	t := p.next()
	v, err := number64(t.text)
	if t.kind != number || err != nil {
		p.at--
		p.refuse("%q, want a number", t.text)
	}
	if negative {
		v = -v
	}
	return v & widthMask(8*bytes)
}

func number64(s string) (uint64, error) {
	if len(s) == 10 && (strings.HasPrefix(s, "0f") || strings.HasPrefix(s, "0F")) {
		return strconv.ParseUint(s[2:], 16, 32)
	}
	if len(s) == 18 && (strings.HasPrefix(s, "0d") || strings.HasPrefix(s, "0D")) {
		return strconv.ParseUint(s[2:], 16, 64)
	}
	if strings.Contains(s, ".") {
		f, err := strconv.ParseFloat(s, 32)
		return uint64(math.Float32bits(float32(f))), err
	}
	return strconv.ParseUint(strings.TrimSuffix(s, "U"), 0, 64)
}

// widthMask has the lower bits set.
func widthMask(bits int) uint64 {
	if bits >= 64 {
		return math.MaxUint64
	}
	return 1<<bits - 1
}

// A class is what an operand may be.
type class byte

// Classes of operands, as they stand in the signatures of forms: registers of
// exactly 16, 32 or 64 bits, of at least so many, and predicates.
const (
	half, single, double                class = 'h', 'w', 'd'
	halfOrMore, singleOrMore, anyNumber class = 'H', 'W', 'B'
	predicate                           class = 'p'
)

func (c class) bits() int {
	switch c {
	case half, halfOrMore:
		return 16
	case single, singleOrMore:
		return 32
	case predicate:
		return 1
	case anyNumber:
		return 8
	}
	return 64
}

func (c class) fits(bits int) bool {
	if c == halfOrMore || c == singleOrMore || c == anyNumber {
		return bits >= c.bits()
	}
	return bits == c.bits()
}

// destination is the slot that o names for a result. "_" is a slot of its own.
func (p *parser) destination(o operand, c class) register {
	if o.form != simple || o.not {
		p.refuse("a result must be a register")
	}
	if o.name == "_" && c != predicate {
		return register{p.newSlot(), c.bits()}
	}
	r, ok := p.lookup(o.name)
	if !ok || !c.fits(r.bits) {
		p.refuse("operand %q is no register of %d bits", o.name, c.bits())
	}
	return r
}

// source is the slot that o names for a value: a register, a number, the
// address of a variable or a special register.
func (p *parser) source(o operand, c class) int32 {
	switch {
	case c == predicate:
		if o.form != simple || o.not {
			p.refuse("want a predicate")
		}
		return p.destination(o, c).slot
	case o.form == literal:
		bits := c.bits()
		if c == anyNumber {
			bits = 64
		}
		return p.constant(o.imm & widthMask(bits))
	case o.form != simple || o.not:
		p.refuse("want a register or a number")
	}
	if r, ok := p.lookup(o.name); ok {
		if !c.fits(r.bits) {
			p.refuse("operand %q has %d bits, want %d", o.name, r.bits, c.bits())
		}
		return r.slot
	}
	if v, ok := p.symbol(o.name); ok {
		return p.constant(v)
	}
	return p.special(o.name)
}

// symbol is the address of a variable in its own state space.
func (p *parser) symbol(name string) (uint64, bool) {
	if v, ok := p.body.variables[name]; ok {
		return uint64(v.offset), true
	}
	v, ok := p.m.globals[name]
	if !ok {
		return 0, false
	}
	if v.offset == dynamicShared {
		return uint64(p.dynamicShared(v.size)), true
	}
	return readOnlyWindow + uint64(v.offset), true
}

// dynamicShared is the address of dynamic shared memory, behind the static arrays.
func (p *parser) dynamicShared(align int) int {
	k := p.k
	if !k.dynamic {
		k.sharedEnd = roundUp(k.sharedEnd, max(align, 128))
		k.dynamic = true
	}
	return k.sharedEnd
}
