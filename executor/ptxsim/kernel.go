package ptxsim

import (
	"path"
	"strings"
)

// A Kernel is a decoded .entry.
type Kernel struct {
	name       string
	module     *Module
	params     []param
	paramBytes int
	threads    int  // most threads of a block (.maxntid), 0: not said
	exact      bool // threads is required (.reqntid)

	code       []inst
	slots      int // registers and constants, each [32]uint64
	predicates int
	constants  []constant
	specials   []special

	shared    []sharedArray // by offset
	sharedEnd int           // end of the static arrays, with redzones
	dynamic   bool          // has dynamic shared memory, after sharedEnd
	local     int           // bytes a thread
}

// Name is the name of the entry.
func (k *Kernel) Name() string { return k.name }

// ParamSizes are the bytes of each parameter.
func (k *Kernel) ParamSizes() []int {
	var sizes []int
	for _, p := range k.params {
		sizes = append(sizes, p.size)
	}
	return sizes
}

// A param lies at an offset of the parameter block.
type param struct {
	name         string
	offset, size int
}

// A constant is an operand with one value for all lanes and all time.
type constant struct {
	slot  int32
	value uint64
}

// A special is a special register that the code reads.
type special struct {
	slot int32
	get  func(w *warp, lane int) int
}

// A sharedArray is one array of shared memory with a redzone behind it.
type sharedArray struct {
	name string
	from int
	size int
}

const (
	sharedStart   = 1024 // address of the first shared array: small addresses are wrong
	sharedRedzone = 256
	maxParams     = 4096 // bytes
	maxShared     = 227 << 10
	maxLocal      = 16 << 10
	maxThreads    = 1024
)

// entry reads a kernel: name, parameters, attributes, body.
func (p *parser) entry() {
	k := &Kernel{name: p.name(), module: p.m, sharedEnd: sharedStart}
	if p.m.kernels[k.name] != nil {
		p.refuse("kernel %q comes twice", k.name)
	}
	p.k, p.body = k, newBody()
	if p.accept("(") {
		p.params()
	}
	p.attributes()
	p.statements()
	p.m.kernels[k.name] = k
}

func (p *parser) params() {
	for !p.accept(")") {
		p.param()
		p.accept(",")
	}
}

// param reads ".param .u64 [.ptr …] [.align N] name[n]".
func (p *parser) param() {
	p.expect(".param")
	size, align := 0, 0
	t := p.name()
	for ; t[0] == '.'; t = p.name() {
		switch {
		case t == ".align":
			if n := p.integer(64); align == 0 {
				align = n
			}
		case typeBytes[t] != 0:
			size = typeBytes[t]
		}
	}
	if p.accept("[") {
		size *= p.integer(maxParams)
		p.expect("]")
	} else {
		align = size
	}
	at := roundUp(p.k.paramBytes, max(align, 1))
	if size == 0 || at+size > maxParams {
		p.refuse("parameter %q of %d bytes", t, size)
	}
	p.k.params = append(p.k.params, param{t, at, size})
	p.k.paramBytes = at + size
}

// attributes reads what stands between parameters and body.
func (p *parser) attributes() {
	for !p.accept("{") {
		switch t := p.name(); t {
		case ".maxntid", ".reqntid":
			n := p.integer(maxThreads)
			for p.accept(",") {
				n = min(n*p.integer(maxThreads), maxThreads)
			}
			p.k.threads, p.k.exact = n, t == ".reqntid"
		case ".minnctapersm", ".maxnctapersm", ".maxnreg":
			p.integer(maxIndex)
		case ".noreturn":
		default:
			p.at--
			p.unsupported("attribute %q", t)
		}
	}
}

// A body is what is known while the body of a kernel is read.
type body struct {
	scopes    []*scope
	constants map[uint64]int32
	specials  map[string]int32
	variables map[string]variable // shared and local
	labels    map[string]int32
	jumps     []jump
	position  position
}

// A jump is a branch whose label may come later.
type jump struct {
	pc, line int
	label    string
}

func newBody() *body {
	return &body{
		scopes:    []*scope{newScope()},
		constants: map[uint64]int32{},
		specials:  map[string]int32{},
		variables: map[string]variable{},
		labels:    map[string]int32{},
	}
}

// statements reads the body behind its opening brace.
func (p *parser) statements() {
	b := p.body
	for len(b.scopes) > 0 {
		t := p.next()
		switch {
		case t.is("{"):
			if len(b.scopes) > 100 {
				p.refuse("braces are nested too deep")
			}
			b.scopes = append(b.scopes, newScope())
		case t.is("}"):
			b.scopes = b.scopes[:len(b.scopes)-1]
		case t.is(";"):
		case t.kind == word && p.accept(":"):
			b.labels[t.text] = int32(len(p.k.code))
		case t.kind == word && t.text[0] == '.':
			p.directive(t.text)
		default:
			p.at--
			p.instruction()
		}
	}
	p.finish()
}

// finish ends the code and resolves its labels.
func (p *parser) finish() {
	k := p.k
	k.code = append(k.code, inst{kind: kindExit, predicate: -1, op: "ret", pos: p.body.position, pc: int32(len(k.code))})
	for _, j := range p.body.jumps {
		to, ok := p.body.labels[j.label]
		if !ok {
			p.refuse("line %d: no label %q", j.line, j.label)
		}
		k.code[j.pc].target = to
	}
}

// directive reads one of the directives inside kernels.
func (p *parser) directive(name string) {
	switch name {
	case ".loc":
		p.location()
	case ".pragma":
		p.skipTo(";")
	case ".reg":
		p.registers()
	case ".shared":
		p.sharedArray()
	case ".local":
		p.localArray()
	default:
		p.at--
		p.unsupported("directive %q", name)
	}
}

func (p *parser) sharedArray() {
	d := p.declaration()
	p.expect(";")
	if d.open {
		p.unsupported("shared variable %q of open size in a kernel", d.name)
	}
	k := p.k
	if k.dynamic {
		p.unsupported("shared variable %q after a use of dynamic shared memory", d.name)
	}
	at := roundUp(k.sharedEnd, d.align)
	if at+d.size > sharedStart+maxShared+1<<16 {
		p.refuse("shared variables of more than %d bytes", maxShared)
	}
	k.shared = append(k.shared, sharedArray{d.name, at, d.size})
	k.sharedEnd = at + d.size + sharedRedzone
	p.body.variables[d.name] = variable{at, d.size}
}

func (p *parser) localArray() {
	d := p.declaration()
	p.expect(";")
	at := roundUp(p.k.local, d.align)
	if d.open || at+d.size > maxLocal {
		p.refuse("local variables of more than %d bytes", maxLocal)
	}
	p.k.local = at + d.size
	p.body.variables[d.name] = variable{at, d.size}
}

// A position is where an instruction comes from: file and line of .loc, and
// the line where the function that it stands in was inlined.
type position struct {
	file, line       int
	inFile, inlineAt int
}

// location reads ".loc file line column[, function_name label, inlined_at file line column]".
func (p *parser) location() {
	line := p.tokens[p.at-1].line
	pos := position{file: p.integer(maxIndex), line: p.integer(maxIndex)}
	for p.peek().line == line && p.peek().kind != endOfText {
		if t := p.next(); t.is("inlined_at") {
			pos.inFile, pos.inlineAt = p.integer(maxIndex), p.integer(maxIndex)
		}
	}
	p.body.position = pos
}

// source is what a finding shows of pos: the place of the code itself, or,
// where that is a header of another name, the place that uses it.
func (k *Kernel) source(pos position) (file string, line int) {
	inner, outer := k.module.files[pos.file], k.module.files[pos.inFile]
	if pos.inlineAt != 0 && (inner != outer || strings.HasSuffix(inner, ".cuh")) {
		return path.Base(outer), pos.inlineAt
	}
	if inner == "" {
		return "", 0
	}
	return path.Base(inner), pos.line
}
