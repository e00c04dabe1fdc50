package kernels

import (
	"slices"
	"strings"
	"testing"
)

// TestSourcesOfNothing: equivalent.txt says of sums that they are the source of
// chunks that are not there, and nothing else. A copy has a size of 16 bytes or
// of none, chosen by a predicate. Of each sum that has survived it follows from
// the instructions around that it reaches copies only, and those only where the
// predicate gives none.
func TestSourcesOfNothing(t *testing.T) {
	checked, equivalents, kernels := 0, readEquivalents(t), goldens()
	for _, of := range currentSurvivors(t) {
		entry, ptx, record := of.entry, of.ptx, of.record
		p := newListing(string(ptx))
		for _, line := range record[1:] {
			s := recorded(line)
			if !strings.Contains(explain(equivalents, kernels[entry], s), "TestSourcesOfNothing") {
				continue
			}
			checked++
			before, _, _ := strings.Cut(s.what, " => ")
			at := slices.IndexFunc(p, func(x listed) bool { return x.text == before })
			if at < 0 || !p.idle(at) {
				t.Errorf("%s: may be the source of bytes: %s", entry, line)
			}
		}
	}
	if checked == 0 {
		t.Error("no survivor is explained so")
	}
	t.Logf("%d survivors", checked)
}

// A listing is the instructions and labels of PTX one after another.
type listing []listed

type listed struct {
	text  string // with single spaces
	label string // of a label
	guard string
	bitOp
}

func newListing(ptx string) listing {
	var p listing
	for line := range strings.Lines(ptx) {
		line = strings.TrimRight(line, "\n")
		if label, ok := strings.CutSuffix(strings.TrimSpace(line), ":"); ok {
			p = append(p, listed{label: label})
		} else if m := instructionPattern.FindStringSubmatch(line); m != nil {
			p = append(p, listed{spaced(line), "", strings.TrimSpace(m[1]), bitOp{m[2], splitArguments(strings.TrimSpace(m[3]))}})
		}
	}
	return p
}

// idle tells that a sum counts nowhere: it is what a copy of nothing has for its
// source, or what is put in place of it where there is something to copy.
func (p listing) idle(at int) bool {
	sum := p[at].args[0]
	return p.refused(sum, map[string]bool{}) || p.replaced(at)
}

// refused tells that every use of a register is the source of a copy of
// nothing: the second choice of a selp whose predicate is that of the size.
func (p listing) refused(register string, seen map[string]bool) bool {
	if seen[register] {
		return true // round a loop
	}
	seen[register] = true
	uses := p.uses(register)
	return len(uses) > 0 && !slices.ContainsFunc(uses, func(i int) bool {
		x := p[i]
		switch {
		case x.opcode == "selp.b64" && x.args[2] == register && x.args[1] != register:
			return !p.copies(x.args[0], func(size string) bool { return size == x.args[3] })
		case x.guard == "" && slices.Contains([]string{"add.s64", "sub.s64", "mul.lo.s64", "mov.u64"}, x.opcode):
			return !p.refused(x.args[0], seen)
		}
		return true
	})
}

// replaced tells of the first of two values of a register that it stays only
// where the branch behind it is taken, over the second, and that copies behind
// that have the register for their source and a size of none where it is taken.
func (p listing) replaced(at int) bool {
	sum := p[at].args[0]
	isJump := func(x listed) bool { return x.label != "" || x.opcode == "bra" }
	branch := at + 1 + slices.IndexFunc(p[at+1:], isJump)
	over, ok := strings.CutPrefix(p[branch].guard, "@")
	if !ok {
		return false
	}
	behind := slices.IndexFunc(p, func(x listed) bool { return x.label == p[branch].args[0] })
	if behind < branch || slices.ContainsFunc(p[branch+1:behind], isJump) {
		return false
	}
	for _, i := range p.writes(sum) {
		if i != at && (i < branch || i > behind) {
			return false
		}
	}
	if len(p.writes(sum)) != 2 || slices.ContainsFunc(p.uses(sum), func(i int) bool { return i < behind }) {
		return false
	}
	return p.copies(sum, func(size string) bool { return p.opposite(over, size) })
}

// copies tells that a register, doubled and added to, is nothing but the source
// of copies whose size is chosen by a predicate that is as it should be.
func (p listing) copies(register string, chosen func(predicate string) bool) bool {
	uses := p.uses(register)
	return len(uses) > 0 && !slices.ContainsFunc(uses, func(i int) bool {
		x := p[i]
		switch {
		case x.opcode == "shl.b64" || x.opcode == "add.s64":
			return len(p.writes(x.args[0])) != 1 || !p.copies(x.args[0], chosen)
		case strings.HasPrefix(x.opcode, "cp.async.cg.") && x.args[1] == "["+register+"]":
			size := p.writes(x.args[3])
			return len(size) != 1 || p[size[0]].opcode != "selp.b32" || p[size[0]].args[1] != "16" || p[size[0]].args[2] != "0" || !chosen(p[size[0]].args[3])
		}
		return true
	})
}

// opposite tells that of two predicates, each set once, one is the other's negation.
func (p listing) opposite(a, b string) bool {
	of := func(predicate string) listed {
		if w := p.writes(predicate); len(w) == 1 {
			return p[w[0]]
		}
		return listed{}
	}
	x, y := of(a), of(b)
	if x.opcode == "not.pred" {
		return x.args[1] == b
	}
	return x.opcode == "setp.ge.s32" && y.opcode == "setp.lt.s32" && p.same(x.args[1], y.args[1]) && p.same(x.args[2], y.args[2])
}

// same tells that two operands have the same value: one register that is set
// once, or registers that are computed alike, as a compiler does again where it
// runs out of registers.
func (p listing) same(a, b string) bool {
	x, y := p.writes(a), p.writes(b)
	switch {
	case len(x) == 0 && len(y) == 0: // constants, and numbers of a thread and its block
		return a == b
	case len(x) != 1 || len(y) != 1:
		return false
	case a == b:
		return true
	}
	before, after := p[x[0]], p[y[0]]
	if before.opcode != after.opcode || before.guard+after.guard != "" || strings.HasPrefix(before.opcode, "ld.") || len(before.args) != len(after.args) {
		return false
	}
	for i, a := range before.args[1:] {
		if !p.same(a, after.args[1+i]) {
			return false
		}
	}
	return true
}

// uses are the instructions that read a register, also in an address.
func (p listing) uses(register string) []int {
	return p.where(func(x listed) bool {
		from := min(1, len(x.args))
		if strings.HasPrefix(x.opcode, "st.") || strings.HasPrefix(x.opcode, "cp.") {
			from = 0
		}
		return strings.TrimLeft(x.guard, "@!") == register || slices.ContainsFunc(x.args[from:], func(a string) bool { return mentions(a, register) })
	})
}

// writes are the instructions that set a register.
func (p listing) writes(register string) []int {
	return p.where(func(x listed) bool {
		return len(x.args) > 0 && !strings.HasPrefix(x.opcode, "st.") && !strings.HasPrefix(x.opcode, "cp.") && mentions(x.args[0], register)
	})
}

func (p listing) where(is func(listed) bool) []int {
	var all []int
	for i, x := range p {
		if is(x) {
			all = append(all, i)
		}
	}
	return all
}

// mentions tells that a register is an operand, or one of it.
func mentions(operand, register string) bool {
	return slices.Contains(strings.FieldsFunc(operand, func(r rune) bool { return strings.ContainsRune("{}[],+ ", r) }), register)
}
