package kernels

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCutBits: equivalent.txt says of and.b32 with an even constant that one
// with bit 0 too is the same, for bit 0 of the operand is 0 or falls off where
// the result is used. Of each that has survived this follows from the
// instructions around.
func TestCutBits(t *testing.T) {
	cut := regexp.MustCompile(`and\.b32 (%\w+), (%\w+), -?\d*[02468] => and\.b32 `)
	checked, equivalents, kernels := 0, readEquivalents(t), goldens()
	for _, of := range currentSurvivors(t) {
		entry, ptx, record := of.entry, of.ptx, of.record
		f := newBitFlow(string(ptx))
		for _, line := range record[1:] {
			m := cut.FindStringSubmatch(line)
			if m == nil || !strings.Contains(explain(equivalents, kernels[entry], recorded(line)), "TestCutBits") {
				continue
			}
			checked++
			if !f.even(m[2], 0) && !f.dropped(m[1], 0) {
				t.Errorf("%s: bit 0 may count: %s", entry, line)
			}
		}
	}
	t.Logf("%d survivors", checked)
}

// recorded is the survivor of a line of survivors.txt, as far as equivalent.txt asks.
func recorded(line string) survivor {
	parts := strings.Split(line, " | ")
	s := survivor{place: parts[1]}
	s.what = parts[len(parts)-1]
	for i, place := range strings.Split(s.place, " in ") {
		file, at, _ := strings.Cut(place, ":")
		if i > 0 {
			s.source += " in "
		}
		s.source += sourceLine(file, at)
	}
	return s
}

// A bitFlow knows where registers are written and read.
type bitFlow struct{ writes, reads map[string][]bitOp }

type bitOp struct {
	opcode string
	args   []string
}

func newBitFlow(ptx string) bitFlow {
	f := bitFlow{map[string][]bitOp{}, map[string][]bitOp{}}
	for line := range strings.Lines(ptx) {
		m := instructionPattern.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		op := bitOp{m[2], splitArguments(strings.TrimSpace(m[3]))}
		if len(op.args) > 0 {
			f.writes[op.args[0]] = append(f.writes[op.args[0]], op)
		}
		for _, a := range op.args[min(1, len(op.args)):] {
			f.reads[a] = append(f.reads[a], op)
		}
	}
	return f
}

const bitFlowDepth = 6

// even tells that bit 0 of a register or constant is 0.
func (f bitFlow) even(a string, depth int) bool {
	if n, err := strconv.ParseInt(a, 10, 64); err == nil {
		return n%2 == 0
	}
	ops := f.writes[a]
	if len(ops) == 0 || depth > bitFlowDepth {
		return false
	}
	return !slices.ContainsFunc(ops, func(op bitOp) bool {
		even := func(i int) bool { return f.even(op.args[i], depth+1) }
		switch op.opcode {
		case "mov.u32":
			return !even(1)
		case "shl.b32":
			n, err := strconv.Atoi(op.args[2])
			return err != nil || n < 1
		case "and.b32", "mul.lo.s32":
			return !even(1) && !even(2)
		case "add.s32", "sub.s32", "or.b32", "xor.b32":
			return !even(1) || !even(2)
		case "bfi.b32":
			at, err := strconv.Atoi(op.args[3])
			return err != nil || !even(2) || at < 1
		}
		return true
	})
}

// dropped tells that no use of a register sees its bit 0.
func (f bitFlow) dropped(a string, depth int) bool {
	ops := f.reads[a]
	if len(ops) == 0 || depth > bitFlowDepth {
		return false
	}
	return !slices.ContainsFunc(ops, func(op bitOp) bool {
		other := func() string {
			if op.args[1] == a {
				return op.args[2]
			}
			return op.args[1]
		}
		switch op.opcode {
		case "shr.u32", "shr.s32":
			n, err := strconv.Atoi(op.args[2])
			return err != nil || op.args[1] != a || n < 1
		case "and.b32":
			return !f.even(other(), depth+1) && !f.dropped(op.args[0], depth+1)
		case "or.b32", "xor.b32":
			return !f.dropped(op.args[0], depth+1)
		case "add.s32":
			return !f.even(other(), depth+1) || !f.dropped(op.args[0], depth+1) // no carry
		case "sub.s32":
			return op.args[1] != a || !f.even(op.args[2], depth+1) || !f.dropped(op.args[0], depth+1)
		}
		return true
	})
}
