package ptxsim

import (
	"strings"
	"sync"
)

// forms is the table of opcodes that work lane by lane on the operands of a
// signature: the whole text of the opcode, so that no modifier is overlooked.
var forms = sync.OnceValue(func() table {
	t := table{}
	t.integers()
	t.wideIntegers()
	t.logic()
	t.bitFields()
	t.moves()
	t.floats32()
	t.functions32()
	t.floats64()
	t.halves()
	t.predicates()
	return t
})

type table map[string]form

// add enters a loop over lanes under each of the names, separated by spaces.
func (t table) add(names, signature string, loop func(d, a, b, c, e *lanes)) {
	for _, n := range strings.Fields(names) {
		if _, twice := t[n]; twice {
			panic("bug: two forms of " + n)
		}
		t[n] = form{signature: signature, kind: kindALU, alu: loop}
	}
}

// The four that follow enter a function of one lane's values.

func (t table) one(names, signature string, f func(x uint64) uint64) {
	t.add(names, signature, func(d, a, _, _, _ *lanes) {
		for i := range d {
			d[i] = f(a[i])
		}
	})
}

func (t table) two(names, signature string, f func(x, y uint64) uint64) {
	t.add(names, signature, func(d, a, b, _, _ *lanes) {
		for i := range d {
			d[i] = f(a[i], b[i])
		}
	})
}

func (t table) three(names, signature string, f func(x, y, z uint64) uint64) {
	t.add(names, signature, func(d, a, b, c, _ *lanes) {
		for i := range d {
			d[i] = f(a[i], b[i], c[i])
		}
	})
}

func (t table) four(names, signature string, f func(x, y, z, u uint64) uint64) {
	t.add(names, signature, func(d, a, b, c, e *lanes) {
		for i := range d {
			d[i] = f(a[i], b[i], c[i], e[i])
		}
	})
}

// each replaces % in names by each of the types.
func each(names string, types ...string) string {
	var b strings.Builder
	for _, t := range types {
		b.WriteString(strings.ReplaceAll(names, "%", t) + " ")
	}
	return b.String()
}

// repeat is a signature of n operands of one class.
func repeat(c class, n int) string { return strings.Repeat(string(c), n) }
