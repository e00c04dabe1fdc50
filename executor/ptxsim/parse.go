package ptxsim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"etc/fault"
)

// A Module is one parsed PTX text.
type Module struct {
	kernels  map[string]*Kernel
	files    map[int]string      // source files by the numbers of .file
	globals  map[string]variable // .global and .const variables
	readOnly []byte              // what they hold, one after the other
}

// A variable lies at an offset of its memory: shared, local or the module's.
type variable struct{ offset, size int }

// maxText bounds PTX text in bytes. Kernels have a hundred kilobytes.
const maxText = 64 << 20

// Parse reads PTX text as NVRTC and nvcc print it. What it does not know, it
// refuses: fault.Unsupported, or fault.Corrupt for what is no PTX; both name
// the line.
func Parse(ptx []byte) (m *Module, err error) {
	if len(ptx) > maxText {
		return nil, fault.Newf(fault.Corrupt, "PTX of %d bytes: want at most %d", len(ptx), maxText)
	}
	tokens, err := tokenize(string(ptx))
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, m: &Module{kernels: map[string]*Kernel{}, files: map[int]string{}, globals: map[string]variable{}}}
	defer func() {
		if r := recover(); r != nil {
			refusal, ok := r.(*fault.Error)
			if !ok {
				panic(r)
			}
			m, err = nil, refusal
		}
	}()
	p.module()
	return p.m, nil
}

// Kernel is the kernel of that name.
func (m *Module) Kernel(entry string) (*Kernel, error) {
	k := m.kernels[entry]
	if k == nil {
		return nil, fault.Newf(fault.Corrupt, "PTX has no kernel %q: it has %s", entry, strings.Join(m.Entries(), ", "))
	}
	return k, nil
}

// Entries are the names of the module's kernels, sorted.
func (m *Module) Entries() []string { return slices.Sorted(maps.Keys(m.kernels)) }

// A parser walks the tokens. What it refuses it panics with, a *fault.Error
// that Parse returns.
type parser struct {
	tokens []token
	at     int
	m      *Module
	k      *Kernel // the kernel whose body is read
	body   *body
}

// refuse ends parsing: the text is not PTX.
func (p *parser) refuse(format string, args ...any) {
	p.end(fault.Corrupt, format, args...)
}

// unsupported ends parsing: the text is PTX that no kernel of ours uses.
func (p *parser) unsupported(format string, args ...any) {
	p.end(fault.Unsupported, format, args...)
}

func (p *parser) end(kind fault.Kind, format string, args ...any) {
	panic(fault.Newf(kind, "PTX line %d: %s", p.peek().line, fmt.Sprintf(format, args...)))
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind == endOfText {
		p.refuse("the text ends too early")
	}
	p.at++
	return t
}

// accept takes the next token if it is s.
func (p *parser) accept(s string) bool {
	if p.peek().is(s) && p.peek().kind != endOfText {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if t := p.peek(); !p.accept(s) {
		p.refuse("%q, want %q", t.text, s)
	}
}

// name takes a word.
func (p *parser) name() string {
	t := p.next()
	if t.kind != word {
		p.at--
		p.refuse("%q, want a name", t.text)
	}
	return t.text
}

// integer takes a number from 0 to limit.
func (p *parser) integer(limit int) int {
	t := p.next()
	v, err := strconv.ParseUint(strings.TrimSuffix(t.text, "U"), 0, 64)
	if t.kind != number || err != nil || v > uint64(limit) {
		p.at--
		p.refuse("%q, want a number from 0 to %d", t.text, limit)
	}
	return int(v)
}

// skipLine drops the rest of the line of the last token taken.
func (p *parser) skipLine() {
	line := p.tokens[p.at-1].line
	for p.peek().kind != endOfText && p.peek().line == line {
		p.at++
	}
}

// skipTo drops tokens up to and with s.
func (p *parser) skipTo(s string) {
	for !p.next().is(s) {
	}
}

const maxIndex = 1<<31 - 1

// module reads the directives outside kernels.
func (p *parser) module() {
	linkage := "" // .visible and the like, which stand before what they qualify
	for p.peek().kind != endOfText {
		t := p.next()
		switch t.text {
		case ".version", ".target", ".address_size":
			p.skipLine()
		case ".pragma":
			p.skipTo(";")
		case ".file":
			n := p.integer(maxIndex)
			p.m.files[n] = p.next().text
			p.skipLine()
		case ".section":
			p.skipTo("{")
			p.skipTo("}")
		case ".visible", ".weak", ".extern":
			linkage = t.text
			continue
		case ".entry":
			p.entry()
		case ".shared":
			p.externShared(linkage)
		case ".global", ".const":
			p.initialized(linkage)
		case ";":
		default:
			p.at--
			p.unsupported("directive %q", t.text)
		}
		linkage = ""
	}
}
