package ptxsim

import (
	"fmt"
	"strings"
)

// enter adds forms that the warp executes as a whole.
func (t table) enter(names, signature string, exec func(w *warp, in *inst, m uint32)) {
	for _, n := range strings.Fields(names) {
		t[n] = form{signature: signature, kind: kindExec, exec: exec}
	}
}

// predicates enters logic on predicates and the comparisons of integers and floats.
func (t table) predicates() {
	logic := func(name, signature string, f func(x, y uint32) uint32) {
		t.enter(name, signature, func(w *warp, in *inst, m uint32) {
			w.p[in.d] = w.p[in.d]&^m | f(w.p[in.a], w.p[in.b])&m
		})
	}
	logic("and.pred", "ppp", func(x, y uint32) uint32 { return x & y })
	logic("or.pred", "ppp", func(x, y uint32) uint32 { return x | y })
	logic("xor.pred", "ppp", func(x, y uint32) uint32 { return x ^ y })
	t.enter("not.pred", "pp", func(w *warp, in *inst, m uint32) { w.p[in.d] = w.p[in.d]&^m | ^w.p[in.a]&m })
	for _, n := range []int{16, 32, 64} {
		t.integerCompares(n)
	}
	t.floatCompares("f32", "pww", func(x uint64) float64 { return float64(float(x)) })
	t.floatCompares("ftz.f32", "pww", func(x uint64) float64 { return float64(float(flush(x))) })
	t.floatCompares("f64", "pdd", float64Of)
	t.floatCompares("f16", "phh", func(x uint64) float64 { return float64(halfToFloat(uint16(x))) })
	t.floatCompares("bf16", "phh", func(x uint64) float64 { return float64(float(x << 16)) })
	t.classes()
}

// comparison enters setp with the operator, type and a function of two lanes.
func (t table) comparison(name, signature string, f func(x, y uint64) bool) {
	t["setp."+name] = form{signature: signature, kind: kindCompare, compare: func(a, b *lanes) uint32 {
		var r uint32
		for i := range a {
			if f(a[i], b[i]) {
				r |= 1 << i
			}
		}
		return r
	}}
}

func (t table) integerCompares(n int) {
	sig := string([]class{predicate, classOf(n), classOf(n)})
	s := func(op string, f func(x, y int64) bool) {
		t.comparison(fmt.Sprintf("%s.s%d", op, n), sig, func(x, y uint64) bool { return f(signed(x, n), signed(y, n)) })
	}
	u := func(op string, f func(x, y uint64) bool) { t.comparison(fmt.Sprintf("%s.u%d", op, n), sig, f) }
	for _, letter := range []string{"s", "u", "b"} {
		t.comparison(fmt.Sprintf("eq.%s%d", letter, n), sig, func(x, y uint64) bool { return x == y })
		t.comparison(fmt.Sprintf("ne.%s%d", letter, n), sig, func(x, y uint64) bool { return x != y })
	}
	s("lt", func(x, y int64) bool { return x < y })
	s("le", func(x, y int64) bool { return x <= y })
	s("gt", func(x, y int64) bool { return x > y })
	s("ge", func(x, y int64) bool { return x >= y })
	for _, name := range []string{"lt", "lo"} {
		u(name, func(x, y uint64) bool { return x < y })
	}
	for _, name := range []string{"le", "ls"} {
		u(name, func(x, y uint64) bool { return x <= y })
	}
	for _, name := range []string{"gt", "hi"} {
		u(name, func(x, y uint64) bool { return x > y })
	}
	for _, name := range []string{"ge", "hs"} {
		u(name, func(x, y uint64) bool { return x >= y })
	}
}

// floatCompares: ordered operators are false where one is not a number, those
// with u true.
func (t table) floatCompares(suffix, sig string, value func(x uint64) float64) {
	ordered := map[string]func(x, y float64) bool{
		"eq": func(x, y float64) bool { return x == y },
		"ne": func(x, y float64) bool { return x < y || x > y },
		"lt": func(x, y float64) bool { return x < y },
		"le": func(x, y float64) bool { return x <= y },
		"gt": func(x, y float64) bool { return x > y },
		"ge": func(x, y float64) bool { return x >= y },
	}
	nan := func(x, y float64) bool { return x != x || y != y }
	for op, f := range ordered {
		t.comparison(op+"."+suffix, sig, func(x, y uint64) bool { return f(value(x), value(y)) })
		t.comparison(op+"u."+suffix, sig, func(x, y uint64) bool {
			a, b := value(x), value(y)
			return nan(a, b) || f(a, b)
		})
	}
	t.comparison("nan."+suffix, sig, func(x, y uint64) bool { return nan(value(x), value(y)) })
	t.comparison("num."+suffix, sig, func(x, y uint64) bool { return !nan(value(x), value(y)) })
}

// decodeSetp takes the spellings with two results or a second predicate:
// setp.op[.bool].type p[|q], a, b[, [!]c]; q has the negated comparison.
func decodeSetp(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 3, 4)
	join := ""
	if len(o) == 4 {
		if len(mods) < 3 {
			p.refuse("%s with 4 operands", in.op)
		}
		join = mods[1]
		mods = append([]string{mods[0]}, mods[2:]...)
	}
	f, ok := forms()["setp."+strings.Join(mods, ".")]
	if !ok || join != "" && join != "and" && join != "or" && join != "xor" {
		p.unsupported("instruction %q", in.op)
	}
	results := []operand{o[0]}
	if o[0].form == pair {
		results = o[0].list
	}
	for _, r := range results {
		if r.name == "_" {
			in.v = append(in.v, p.newRegister(1))
		} else {
			in.v = append(in.v, p.destination(r, predicate).slot)
		}
	}
	in.a, in.b = p.source(o[1], class(f.signature[1])), p.source(o[2], class(f.signature[2]))
	var with func(x, c uint32) uint32
	if join != "" {
		not := o[3].not
		o[3].not = false
		in.c = p.source(o[3], predicate)
		with = joined(join, not)
	}
	in.kind, in.compare = kindExec, f.compare
	in.exec = func(w *warp, in *inst, m uint32) {
		x := in.compare(&w.r[in.a], &w.r[in.b])
		r := [2]uint32{x, ^x}
		if with != nil {
			r = [2]uint32{with(r[0], w.p[in.c]), with(r[1], w.p[in.c])}
		}
		for i, to := range in.v {
			w.p[to] = w.p[to]&^m | r[i]&m
		}
	}
}

func joined(op string, not bool) func(x, c uint32) uint32 {
	return func(x, c uint32) uint32 {
		if not {
			c = ^c
		}
		switch op {
		case "and":
			return x & c
		case "or":
			return x | c
		}
		return x ^ c
	}
}
