package ptxsim

// decodeMove takes what packs registers into one and unpacks them:
// mov.b64 {a, b}, r and mov.b32 r, {a, b}, the first in the lowest bits.
func decodeMove(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 2, 2)
	if len(mods) == 1 && mods[0] == "pred" {
		p.movePredicate(in, o)
		return
	}
	bits := 0
	if len(mods) == 1 && mods[0][0] == 'b' {
		bits = 8 * typeBytes["."+mods[0]]
	}
	whole, parts := o[0], o[1]
	if o[0].form == vector {
		whole, parts = o[1], o[0]
	}
	n := len(parts.list)
	if bits < 32 || parts.form != vector || whole.form == vector || n != 2 && n != 4 || bits/n < 16 {
		p.unsupported("instruction %q", in.op)
	}
	part := bits / n
	in.kind = kindExec
	m := widthMask(part)
	if o[0].form == vector {
		in.v = p.vectorOf(parts, n, classOf(part), true)
		in.a = p.source(whole, classOf(bits))
		in.exec = func(w *warp, in *inst, mask uint32) {
			from := w.r[in.a] // a copy: a part may be written to the register itself
			for j, slot := range in.v {
				w.set(slot, mask, func(i int) uint64 { return from[i] >> (part * j) & m })
			}
		}
		return
	}
	in.v = p.vectorOf(parts, n, classOf(part), false)
	in.d = p.destination(whole, classOf(bits)).slot
	in.exec = func(w *warp, in *inst, mask uint32) {
		w.set(in.d, mask, func(i int) uint64 {
			var x uint64
			for j, slot := range in.v {
				x |= w.r[slot][i] & m << (part * j)
			}
			return x
		})
	}
}

// set writes f of each lane in m to a register.
func (w *warp) set(slot int32, m uint32, f func(lane int) uint64) {
	d := &w.r[slot]
	for i := range d {
		if m>>uint(i)&1 != 0 {
			d[i] = f(i)
		}
	}
}

// movePredicate reads mov.pred, of a predicate or a number: 0 is false.
func (p *parser) movePredicate(in *inst, o []operand) {
	in.kind = kindExec
	in.d = p.destination(o[0], predicate).slot
	if o[1].form == literal {
		var value uint32
		if o[1].imm != 0 {
			value = allLanes
		}
		in.exec = func(w *warp, in *inst, m uint32) { w.p[in.d] = w.p[in.d]&^m | value&m }
		return
	}
	in.a = p.source(o[1], predicate)
	in.exec = func(w *warp, in *inst, m uint32) { w.p[in.d] = w.p[in.d]&^m | w.p[in.a]&m }
}
