package ptxsim

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A memoryOp is what a load or store moves.
type memoryOp struct {
	space    space
	size     int  // bytes of an element
	count    int  // elements of a vector
	signed   bool // elements narrower than their register are extended by sign
	mask     uint64
	readOnly bool // ld.global.nc
}

func (m *memoryOp) bytes() int { return m.size * m.count }

// A space is a state space, or the generic one that holds all.
type space uint8

const (
	generic space = iota
	global
	shared
	local
	params
	constants
)

var spaces = map[string]space{
	"param": params, "global": global, "shared": shared, "shared::cta": shared, "local": local, "const": constants,
}

// hints are modifiers that do not change what is moved.
var hints = []string{"ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "weak",
	"L1::evict_normal", "L1::evict_first", "L1::evict_last", "L1::no_allocate", "L2::64B", "L2::128B", "L2::256B"}

// access reads the modifiers of ld and st.
func (p *parser) access(in *inst, mods []string) {
	m := &in.m
	m.count = 1
	if len(mods) == 0 {
		p.unsupported("instruction %q", in.op)
	}
	for _, x := range mods[:len(mods)-1] {
		s, isSpace := spaces[x]
		switch {
		case isSpace && m.space == generic:
			m.space = s
		case x == "v2":
			m.count = 2
		case x == "v4":
			m.count = 4
		case x == "nc" && m.space == global:
			m.readOnly = true
		case slices.Contains(hints, x):
		default:
			p.unsupported("instruction %q", in.op)
		}
	}
	t := mods[len(mods)-1]
	m.size = typeBytes["."+t]
	m.signed = t[0] == 's'
	if m.size == 0 || m.bytes() > 16 || strings.HasSuffix(t, "x2") {
		p.unsupported("instruction %q", in.op)
	}
}

// addressOf resolves [register+offset], [symbol+offset] or [number].
func (p *parser) addressOf(in *inst, o operand, s space) (slot int32, offset int64) {
	if o.form != address {
		p.refuse("%s wants an address in brackets", in.op)
	}
	base := o.list[0]
	if base.form == literal {
		return p.constant(base.imm), o.off
	}
	if s == params {
		return 0, o.off + p.paramOffset(base.name, in, o.off)
	}
	if r, ok := p.lookup(base.name); ok {
		if r.bits < 32 {
			p.refuse("address in %q of %d bits", base.name, r.bits)
		}
		return r.slot, o.off
	}
	v, ok := p.symbol(base.name)
	if !ok {
		p.refuse("no variable %q", base.name)
	}
	return p.constant(v), o.off
}

// paramOffset is where a parameter lies; the access must lie within it.
func (p *parser) paramOffset(name string, in *inst, offset int64) int64 {
	for _, q := range p.k.params {
		if q.name == name && offset >= 0 && offset+int64(in.m.bytes()) <= int64(q.size) {
			return int64(q.offset)
		}
	}
	p.refuse("no parameter %q that holds %d bytes at %d", name, in.m.bytes(), offset)
	return 0
}

func decodeLoad(p *parser, in *inst, mods []string, o []operand) {
	p.access(in, mods)
	p.want(in, o, 2, 2)
	in.kind = kindExec
	list := o[0].list
	if o[0].form != vector {
		list = o[:1]
	}
	if len(list) != in.m.count {
		p.refuse("%s of %d values", in.op, len(list))
	}
	for _, x := range list {
		r := p.destination(x, atLeast(in.m.size))
		in.v = append(in.v, r.slot)
		in.m.mask = widthMask(r.bits)
	}
	in.a, in.offset = p.addressOf(in, o[1], in.m.space)
	switch in.m.space {
	case params:
		in.exec = execLoadParam
	case global:
		in.exec = execLoadGlobal
	case shared:
		in.exec = execLoadShared
	case constants:
		in.exec = execLoadGlobal
	default:
		in.exec = execLoadAny
	}
}

func decodeStore(p *parser, in *inst, mods []string, o []operand) {
	p.access(in, mods)
	p.want(in, o, 2, 2)
	in.kind = kindExec
	in.a, in.offset = p.addressOf(in, o[0], in.m.space)
	in.v = p.vectorOf(o[1], in.m.count, atLeast(in.m.size), false)
	switch in.m.space {
	case global:
		in.exec = execStoreGlobal
	case shared:
		in.exec = execStoreShared
	case local, generic:
		in.exec = execStoreAny
	default:
		p.unsupported("instruction %q", in.op)
	}
}

// address is that of in for a lane.
func (w *warp) address(in *inst, lane int) uint64 { return w.r[in.a][lane] + uint64(in.offset) }

// load puts the elements at b into the registers of a lane.
func (w *warp) load(in *inst, b []byte, lane int) {
	m := &in.m
	if m.size == 4 && !m.signed {
		b = b[:4*len(in.v)]
		for j, slot := range in.v {
			w.r[slot][lane] = uint64(binary.LittleEndian.Uint32(b[4*j:]))
		}
		return
	}
	for j, slot := range in.v {
		w.r[slot][lane] = m.extend(element(b[j*m.size:], m.size))
	}
}

func (m *memoryOp) extend(x uint64) uint64 {
	if m.signed {
		return uint64(signed(x, 8*m.size)) & m.mask
	}
	return x
}

func element(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// store puts the registers of a lane to b.
func (w *warp) store(in *inst, b []byte, lane int) {
	for j, slot := range in.v {
		x, to := w.r[slot][lane], b[j*in.m.size:]
		switch in.m.size {
		case 1:
			to[0] = byte(x)
		case 2:
			binary.LittleEndian.PutUint16(to, uint16(x))
		case 4:
			binary.LittleEndian.PutUint32(to, uint32(x))
		default:
			binary.LittleEndian.PutUint64(to, x)
		}
	}
}

func execLoadParam(w *warp, in *inst, m uint32) {
	for ; m != 0; m &= m - 1 {
		w.load(in, w.block.run.params[in.offset:], firstLane(m))
	}
}

func execLoadGlobal(w *warp, in *inst, m uint32) {
	n := in.m.bytes()
	w.countGlobal(in, m, n)
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		w.load(in, w.readGlobal(in, w.address(in, lane), n, lane), lane)
	}
}

func execStoreGlobal(w *warp, in *inst, m uint32) {
	n := in.m.bytes()
	w.countGlobal(in, m, n)
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		w.store(in, w.writeGlobal(in, w.address(in, lane), n, lane), lane)
	}
}

func execLoadShared(w *warp, in *inst, m uint32) {
	n := in.m.bytes()
	w.countShared(in, m, n)
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		at := w.sharedAt(in, w.address(in, lane), n, lane)
		w.readShared(in, at, n, lane)
		w.load(in, w.block.memory[at:at+n], lane)
	}
}

func execStoreShared(w *warp, in *inst, m uint32) {
	n := in.m.bytes()
	w.countShared(in, m, n)
	for ; m != 0; m &= m - 1 {
		lane := firstLane(m)
		at := w.sharedAt(in, w.address(in, lane), n, lane)
		w.writeShared(in, at, n, lane)
		w.store(in, w.block.memory[at:at+n], lane)
	}
}
