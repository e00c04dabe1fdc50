package ptxsim

import (
	"slices"
	"strings"
)

// lanes are the values of a register in a warp. What a value has above its
// register's bits is zero.
type lanes [32]uint64

// An inst is one decoded instruction; operands are slots.
type inst struct {
	kind      kind
	negate    bool  // of the predicate
	predicate int32 // slot, -1: none
	pc        int32
	target    int32 // of a branch

	d, a, b, c, e int32
	alu           func(d, a, b, c, e *lanes)
	compare       func(a, b *lanes) uint32
	exec          func(w *warp, in *inst, m uint32)

	v      []int32 // slots of vectors
	offset int64   // of an address
	m      memoryOp

	wide    *wideTable // of mma
	ordered bool       // of mma: the metadata must ascend

	op   string
	line int // of the PTX
	pos  position
}

// A kind says how the warp executes an instruction.
type kind uint8

const (
	kindALU      kind = iota // alu, lane by lane
	kindCompare              // compare, into a predicate
	kindExec                 // exec
	kindTogether             // exec, by all lanes of the warp at once
	kindBarrier              // of the block
	kindBranch
	kindExit
)

// A form is one spelling of an opcode: what operands it takes and what it
// does. Its signature has the class of each operand, results first.
type form struct {
	signature string
	kind      kind
	alu       func(d, a, b, c, e *lanes)
	compare   func(a, b *lanes) uint32
	exec      func(w *warp, in *inst, m uint32)
}

// instruction reads one instruction with its predicate.
func (p *parser) instruction() {
	if len(p.k.code) >= maxCode {
		p.refuse("more than %d instructions", maxCode)
	}
	first := p.peek()
	in := inst{predicate: -1, line: first.line, pos: p.body.position, pc: int32(len(p.k.code))}
	if p.accept("@") {
		in.negate = p.accept("!")
		in.predicate = p.source(operand{name: p.name()}, predicate)
	}
	in.op = p.name()
	after := p.at
	operands := p.operands()
	end := p.at
	p.at = after - 1 // refusals name the opcode's line
	p.decode(&in, operands)
	p.at = end
	p.k.code = append(p.k.code, in)
}

const maxCode = 1 << 20

// decoders read the opcodes whose operands do not fit a signature, by their
// first word.
var decoders map[string]func(p *parser, in *inst, mods []string, o []operand)

func init() {
	decoders = map[string]func(p *parser, in *inst, mods []string, o []operand){
		"ld": decodeLoad, "st": decodeStore,
		"cp": decodeCopy, "ldmatrix": decodeLdmatrix,
		"mma": decodeMMA, "shfl": decodeShuffle, "vote": decodeVote, "activemask": decodeActive, "redux": decodeRedux,
		"bra": decodeBranch, "ret": decodeExit, "exit": decodeExit, "trap": decodeTrap,
		"bar": decodeBarrier, "barrier": decodeBarrier,
		"membar": decodeNothing, "fence": decodeNothing, "prefetch": decodeNothing,
		"setp": decodeSetp, "cvt": decodeConvert, "mov": decodeMove,
	}
}

func (p *parser) decode(in *inst, o []operand) {
	if f, ok := forms()[in.op]; ok && !hasVector(o) {
		p.fill(in, f, o)
		return
	}
	parts := strings.Split(in.op, ".")
	if slices.Contains(parts, "") {
		p.refuse("instruction %q", in.op)
	}
	if d := decoders[parts[0]]; d != nil {
		d(p, in, parts[1:], o)
		return
	}
	p.unsupported("instruction %q", in.op)
}

func hasVector(o []operand) bool {
	for _, x := range o {
		if x.form == vector {
			return true
		}
	}
	return false
}

// fill resolves operands by the signature of f.
func (p *parser) fill(in *inst, f form, o []operand) {
	p.want(in, o, len(f.signature), len(f.signature))
	in.kind, in.alu, in.compare, in.exec = f.kind, f.alu, f.compare, f.exec
	in.d = p.destination(o[0], class(f.signature[0])).slot
	for i, to := range []*int32{&in.a, &in.b, &in.c, &in.e}[:len(o)-1] {
		*to = p.source(o[i+1], class(f.signature[i+1]))
	}
}

// want checks the number of operands.
func (p *parser) want(in *inst, o []operand, least, most int) {
	if len(o) < least || len(o) > most {
		p.refuse("%s with %d operands", in.op, len(o))
	}
}

// slots resolves the list of a vector operand.
func (p *parser) vectorOf(o operand, n int, c class, result bool) []int32 {
	list := o.list
	if o.form != vector {
		list = []operand{o}
	}
	if len(list) != n {
		p.refuse("vector of %d, want %d", len(list), n)
	}
	v := make([]int32, n)
	for i, x := range list {
		if result {
			v[i] = p.destination(x, c).slot
		} else {
			v[i] = p.source(x, c)
		}
	}
	return v
}

func decodeBranch(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 1, 1)
	if len(mods) > 1 || len(mods) == 1 && mods[0] != "uni" || o[0].form != simple {
		p.unsupported("instruction %q", in.op)
	}
	in.kind = kindBranch
	p.body.jumps = append(p.body.jumps, jump{int(in.pc), in.line, o[0].name})
}

func decodeExit(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 0, 0)
	in.kind = kindExit
}

func decodeTrap(p *parser, in *inst, _ []string, o []operand) {
	p.want(in, o, 0, 0)
	in.kind = kindExec
	in.exec = func(w *warp, in *inst, m uint32) { w.fatal(in, firstLane(m), Trap, "the kernel stops itself") }
}

func decodeNothing(p *parser, in *inst, _ []string, _ []operand) {
	in.kind = kindExec
	in.exec = func(*warp, *inst, uint32) {}
}

// decodeBarrier takes barrier 0 of the whole block, and the warp's own.
func decodeBarrier(p *parser, in *inst, mods []string, o []operand) {
	in.kind = kindBarrier
	switch strings.Join(mods, ".") {
	case "sync", "cta.sync", "sync.aligned":
		p.want(in, o, 1, 1)
		if o[0].form != literal || o[0].imm != 0 {
			p.unsupported("barrier other than 0")
		}
	case "warp.sync":
		p.want(in, o, 1, 1)
		in.a = p.source(o[0], single)
		in.kind, in.exec = kindTogether, execWarpSync
	default:
		p.unsupported("instruction %q", in.op)
	}
}
