package ptxsim

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// decodeConvert takes cvt[.rounding][.ftz][.relu][.sat].to.from and the forms
// that pack two f32 into one register.
func decodeConvert(p *parser, in *inst, mods []string, o []operand) {
	if len(mods) < 2 {
		p.unsupported("instruction %q", in.op)
	}
	c := conversion{}
	for _, m := range mods[:len(mods)-2] {
		if !c.modifier(m) {
			p.unsupported("instruction %q", in.op)
		}
	}
	to, from := mods[len(mods)-2], mods[len(mods)-1]
	if half, packs := strings.CutSuffix(to, "x2"); packs {
		p.packs(in, o, c, half, from)
		return
	}
	p.want(in, o, 2, 2)
	f := c.between(to, from)
	if f == nil {
		p.unsupported("instruction %q", in.op)
	}
	in.kind = kindALU
	// A result may be wider than its type: it is extended by the type's sign.
	r := p.destination(o[0], atLeast(typeBytes["."+to]))
	in.d, in.a = r.slot, p.source(o[1], atLeast(typeBytes["."+from]))
	bits := 8 * typeBytes["."+to]
	in.alu = c.loop(f, to, from, bits, r.bits)
}

func atLeast(bytes int) class {
	return [9]class{1: halfOrMore, 2: halfOrMore, 4: singleOrMore, 8: double}[bytes]
}

// loop is f over the lanes, with the result extended to its register.
func (c conversion) loop(f func(x uint64) uint64, to, from string, bits, register int) func(d, a, b, c, e *lanes) {
	if to[0] == 's' && register > bits {
		g, m := f, widthMask(register)
		f = func(x uint64) uint64 { return uint64(signed(g(x), bits)) & m }
	}
	plain := c == conversion{}
	switch {
	case plain && to[0] == 'u' && from[0] == 'u' || plain && isInteger(to) && isInteger(from) && 8*typeBytes["."+from] >= register:
		m := widthMask(min(bits, 8*typeBytes["."+from]))
		if to[0] == 's' && register > bits {
			break
		}
		return func(d, a, _, _, _ *lanes) {
			for i := range d {
				d[i] = a[i] & m
			}
		}
	case plain && to == "s64" && from == "s32":
		return func(d, a, _, _, _ *lanes) {
			for i := range d {
				d[i] = uint64(int64(int32(a[i])))
			}
		}
	}
	return func(d, a, _, _, _ *lanes) {
		for i := range d {
			d[i] = f(a[i])
		}
	}
}

// A conversion is the modifiers of a cvt.
type conversion struct {
	rounding       rounding
	integer        bool // .rni and the like: to a whole number
	rounds         bool
	ftz, sat, relu bool
}

func (c *conversion) modifier(m string) bool {
	switch m {
	case "ftz":
		c.ftz = true
	case "sat":
		c.sat = true
	case "relu":
		c.relu = true
	default:
		name, integer := strings.CutSuffix(m, "i")
		r, ok := roundings[name]
		if !ok || c.rounds {
			return false
		}
		c.rounding, c.integer, c.rounds = r, integer, true
	}
	return true
}

func isInteger(t string) bool { return (t[0] == 's' || t[0] == 'u') && len(t) > 1 }

// between is the function for the two types; nil where there is none.
func (c conversion) between(to, from string) func(x uint64) uint64 {
	known := func(t string) bool {
		_, float := numberTypes[t]
		return float || isInteger(t) && slices.Contains([]string{"8", "16", "32", "64"}, t[1:])
	}
	if !known(to) || !known(from) {
		return nil
	}
	switch {
	case isInteger(to) && isInteger(from):
		return c.integers(to, from)
	case isInteger(to):
		return c.toInteger(to, from)
	case isInteger(from):
		return c.fromInteger(to, from)
	}
	return c.floats(to, from)
}

func integerBits(t string) int {
	n, _ := strconv.Atoi(t[1:])
	return n
}

func (c conversion) integers(to, from string) func(x uint64) uint64 {
	if c.rounds || c.ftz || c.relu {
		return nil
	}
	nt, nf := integerBits(to), integerBits(from)
	return func(x uint64) uint64 {
		x &= widthMask(nf)
		s := int64(x)
		if from[0] == 's' {
			s = signed(x, nf)
		}
		switch {
		case !c.sat:
		case to[0] == 'u' && from[0] == 's':
			return min(uint64(max(s, 0)), widthMask(nt))
		case to[0] == 'u':
			return min(x, widthMask(nt))
		case from[0] == 'u':
			return min(x, widthMask(nt-1))
		default:
			s = min(max(s, -1<<(nt-1)), int64(widthMask(nt-1)))
		}
		return uint64(s) & widthMask(nt)
	}
}

// whole rounds to a whole number.
func whole(v float64, r rounding) float64 {
	switch r {
	case toZero:
		return math.Trunc(v)
	case down:
		return math.Floor(v)
	case up:
		return math.Ceil(v)
	}
	return math.RoundToEven(v)
}

// toInteger clamps to the type's range; NaN becomes 0.
func (c conversion) toInteger(to, from string) func(x uint64) uint64 {
	if !c.integer || c.relu {
		return nil
	}
	n := integerBits(to)
	return func(x uint64) uint64 {
		if c.ftz && from == "f32" {
			x = flush(x)
		}
		v := whole(numberTypes[from].value(x&widthMask(numberTypes[from].bits)), c.rounding)
		lowest, above := 0.0, math.Ldexp(1, n)
		if to[0] == 's' {
			lowest, above = -math.Ldexp(1, n-1), math.Ldexp(1, n-1)
		}
		switch {
		case v != v:
			return 0
		case v < lowest:
			return uint64(int64(lowest)) & widthMask(n)
		case v >= above && to[0] == 's':
			return widthMask(n - 1)
		case v >= above:
			return widthMask(n)
		case to[0] == 's':
			return uint64(int64(v)) & widthMask(n)
		}
		return uint64(v)
	}
}

func (c conversion) fromInteger(to, from string) func(x uint64) uint64 {
	if !c.rounds || c.integer || c.ftz || c.relu || c.sat {
		return nil
	}
	n := integerBits(from)
	return func(x uint64) uint64 {
		x &= widthMask(n)
		negative := from[0] == 's' && signed(x, n) < 0
		if negative {
			x = -uint64(signed(x, n))
		}
		// Two parts, each exact as a float64.
		v := sum(float64(x>>32)*(1<<32), float64(x&0xffffffff)).odd()
		if to == "f64" {
			v = float64(x)
		}
		if negative {
			v = -v
		}
		return numberTypes[to].round(v, c.rounding)
	}
}

func (c conversion) floats(to, from string) func(x uint64) uint64 {
	t, f := numberTypes[to], numberTypes[from]
	if c.rounds && t.bits > f.bits || !c.rounds && t.bits < f.bits {
		return nil
	}
	if to == "f16" && from == "f32" && (c == conversion{rounds: true}) {
		return func(x uint64) uint64 { return floatToHalf(float(x)) }
	}
	if to == "bf16" && from == "f32" && (c == conversion{rounds: true}) {
		return func(x uint64) uint64 { return floatToBrain(float(x)) }
	}
	return func(x uint64) uint64 {
		x &= widthMask(f.bits)
		if c.ftz && from == "f32" {
			x = flush(x)
		}
		v := f.value(x)
		if c.integer {
			v = math.Copysign(whole(v, c.rounding), v)
		}
		if c.sat {
			v = min(max(v, 0), 1)
			if v != v {
				v = 0
			}
		}
		if c.relu && v < 0 {
			v = 0
		}
		y := t.round(v, c.rounding)
		if c.ftz && to == "f32" {
			y = flush(y)
		}
		return y
	}
}

// packs reads cvt.rn.f16x2.f32 d, a, b: a in the upper half, b in the lower.
func (p *parser) packs(in *inst, o []operand, c conversion, half, from string) {
	p.want(in, o, 3, 3)
	if !(half == "f16" || half == "bf16") || from != "f32" || c.integer || c.sat || !c.rounds {
		p.unsupported("instruction %q", in.op)
	}
	f := c.floats(half, "f32")
	in.kind = kindALU
	in.d = p.destination(o[0], single).slot
	in.a, in.b = p.source(o[1], single), p.source(o[2], single)
	in.alu = func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = f(a[i])<<16 | f(b[i])
		}
	}
}
