package ptxsim

import "encoding/binary"

// typeBytes are the sizes of PTX's scalar types.
var typeBytes = map[string]int{
	".b8": 1, ".u8": 1, ".s8": 1,
	".b16": 2, ".u16": 2, ".s16": 2, ".f16": 2, ".bf16": 2,
	".b32": 4, ".u32": 4, ".s32": 4, ".f32": 4, ".f16x2": 4, ".bf16x2": 4,
	".b64": 8, ".u64": 8, ".s64": 8, ".f64": 8,
}

// A declaration is a variable as written, before it has a place.
type declaration struct {
	name    string
	align   int
	element int // bytes of an element
	size    int // bytes in all
	open    bool
}

// maxVariable bounds a variable in bytes.
const maxVariable = 1 << 24

// declaration reads "[.align N] .type name[n]…" after the state space.
func (p *parser) declaration() declaration {
	d := declaration{}
	for {
		t := p.name()
		if t == ".align" {
			d.align = p.integer(4096)
			if d.align == 0 || d.align&(d.align-1) != 0 {
				p.refuse("alignment %d, want a power of two", d.align)
			}
			continue
		}
		if d.element = typeBytes[t]; d.element == 0 {
			p.refuse("type %q", t)
		}
		break
	}
	d.align = max(d.align, d.element)
	d.name = p.name()
	d.size = d.element
	for p.accept("[") {
		if p.accept("]") {
			d.open, d.size = true, 0
			continue
		}
		n := p.integer(maxVariable)
		p.expect("]")
		if d.size *= n; d.size > maxVariable {
			p.refuse("variable of more than %d bytes", maxVariable)
		}
	}
	return d
}

// externShared reads a module's ".extern .shared" array, whose size a launch gives.
func (p *parser) externShared(linkage string) {
	d := p.declaration()
	if linkage != ".extern" || !d.open {
		p.unsupported("shared variable %q outside kernels that is not of open size", d.name)
	}
	p.expect(";")
	p.m.globals[d.name] = variable{dynamicShared, d.align}
}

// dynamicShared marks a name of the module as that of dynamic shared memory.
const dynamicShared = -1

// initialized reads a .global or .const variable with its values: a table that
// code reads. One without values would be memory that launches share.
func (p *parser) initialized(linkage string) {
	d := p.declaration()
	if linkage == ".extern" || d.open || !p.accept("=") {
		p.unsupported("variable %q has no values", d.name)
	}
	at := roundUp(len(p.m.readOnly), d.align)
	if at+d.size > maxVariable {
		p.refuse("variables of more than %d bytes", maxVariable)
	}
	data := append(p.m.readOnly, make([]byte, at+d.size-len(p.m.readOnly))...)
	p.values(d, data[at:])
	p.expect(";")
	p.m.readOnly = data
	p.m.globals[d.name] = variable{at, d.size}
}

// values reads the initializer of d into data; what it leaves out is zero.
func (p *parser) values(d declaration, data []byte) {
	list := p.accept("{")
	for {
		v := p.immediate(d.element)
		if len(data) < d.element {
			p.refuse("%q has more values than places", d.name)
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		data = data[copy(data[:d.element], b[:]):]
		if !list || !p.accept(",") {
			break
		}
	}
	if list {
		p.expect("}")
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
