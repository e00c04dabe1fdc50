package kernels

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A mutant is PTX with one instruction changed: a fault that a check of the
// kernel must notice.
type mutant struct {
	line   int    // of the PTX, from 0
	source string // places in the .cu as .loc gives them, file:line: that of the instruction, of the call it is inlined for, and so on
	kind   mutantKind
	text   string // the line instead
	what   string // the instruction before and after
}

// in is the PTX of these lines with the mutant's line changed.
func (m mutant) in(lines []string) []byte {
	changed := slices.Clone(lines)
	changed[m.line] = m.text
	return []byte(strings.Join(changed, "\n"))
}

type mutantKind string

const (
	synchronisation mutantKind = "synchronisation" // a barrier, wait or commit is missing or weaker
	address         mutantKind = "address"         // an access lies one element off
	predicate       mutantKind = "predicate"       // a comparison or a condition is another
	operands        mutantKind = "operands"        // operands are swapped or a constant is off by one
	operation       mutantKind = "operation"       // another operation is done
)

var (
	instructionPattern = regexp.MustCompile(`^\s*(@!?%p\d+\s+)?([a-z][\w.:]*)(\s+.*)?;\s*(//.*)?$`)
	locPattern         = regexp.MustCompile(`^\s*\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?`)
	placePattern       = regexp.MustCompile(`\[([^\]+]+)(\+(-?\d+))?\]`)
	wholePattern       = regexp.MustCompile(`(^|[\s,])(-?\d+)$`)
)

// mutants are the changes of a kernel's instructions, one for each place in
// the source, form of instruction and change: unrolled loops repeat the same
// instruction, and one of them stands for all.
func mutants(lines []string) []mutant {
	seen := map[string]bool{}
	var all []mutant
	source, calls := "", callChain{}
	for i, line := range lines {
		if m := locPattern.FindStringSubmatch(line); m != nil {
			source = calls.place(m[1]+":"+m[2], m[3]+":"+m[4])
			continue
		}
		for _, c := range changes(line) {
			key := fmt.Sprint(source, opcodeOf(line), c.kind, c.rule)
			if c.kind == synchronisation {
				key = fmt.Sprint(i, c.rule)
			}
			if seen[key] {
				continue
			}
			seen[key] = true
			all = append(all, mutant{
				line: i, source: source, kind: c.kind, text: c.line,
				what: fmt.Sprintf("%s => %s", spaced(line), spaced(c.line)),
			})
		}
	}
	return all
}

// spaced is a line with single spaces and no comment.
func spaced(line string) string {
	line, _, _ = strings.Cut(line, ";")
	return strings.Join(strings.Fields(line), " ")
}

// A callChain knows, for a place, the calls by which the text came there last:
// .loc names only the innermost.
type callChain map[string]string

// place is a place with the calls that lead to it, each once; call is ":" where
// it is in no other function.
func (c callChain) place(at, call string) string {
	chain := []string{at}
	if call != ":" {
		if c[call] == "" {
			c[call] = call
		}
		for _, p := range strings.Fields(c[call]) {
			if p != at {
				chain = append(chain, p)
			}
		}
	}
	c[at] = strings.Join(chain, " ")
	return c[at]
}

// A change is one way to make an instruction another.
type change struct {
	kind mutantKind
	rule string
	line string
}

func opcodeOf(line string) string {
	if m := instructionPattern.FindStringSubmatch(line); m != nil {
		return m[2]
	}
	return ""
}

// changes are those of one line, none where it is no instruction.
func changes(line string) []change {
	m := instructionPattern.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	guard, opcode, rest := m[1], m[2], strings.TrimSpace(m[3])
	build := func(guard, opcode, rest string) string { return "\t" + guard + opcode + " \t" + rest + ";" }
	var all []change
	add := func(kind mutantKind, rule, guard, opcode, rest string) {
		all = append(all, change{kind, rule, build(guard, opcode, rest)})
	}
	stem, _, _ := strings.Cut(opcode, ".")
	args := splitArguments(rest)
	if c, ok := syncChanges(opcode, rest); ok {
		for _, x := range c {
			all = append(all, change{synchronisation, x, x})
		}
		return all
	}
	if guard != "" && stem == "bra" {
		add(predicate, "negate", negated(guard), opcode, rest)
	} else if guard != "" {
		add(predicate, "unguard", "", opcode, rest)
	}
	if isAccess(opcode) {
		if moved, ok := movedPlace(rest, accessBytes(opcode)); ok {
			add(address, "off by one", guard, opcode, moved)
		}
	}
	if stem == "setp" {
		if other := otherComparison(opcode); other != "" {
			add(predicate, "compare", guard, other, rest)
		}
	}
	if other, ok := otherOperation[stem]; ok && stem != "setp" {
		add(operation, "operation", guard, other+strings.TrimPrefix(opcode, stem), rest)
	}
	if opcode == "mul.f32" || opcode == "neg.f32" || opcode == "abs.f32" {
		add(operation, "operation", guard, map[string]string{"mul.f32": "add.f32", "neg.f32": "mov.f32", "abs.f32": "mov.f32"}[opcode], rest)
	}
	if swapped, ok := swappedArguments(stem, args); ok {
		add(operands, "swap", guard, opcode, strings.Join(swapped, ", "))
	}
	if n := len(args); n > 2 && wholePattern.MatchString(args[n-1]) && !isAccess(opcode) && stem != "setp" && stem != "shfl" {
		v, _ := strconv.ParseInt(args[n-1], 10, 64)
		add(operands, "constant", guard, opcode, strings.Join(append(args[:n-1:n-1], fmt.Sprint(v+1)), ", "))
	}
	if stem == "shfl" && len(args) == 5 && args[2] == "1" {
		add(operands, "lane", guard, opcode, strings.Join([]string{args[0], args[1], "2", args[3], args[4]}, ", "))
	}
	return all
}

// syncChanges are the lines in place of one that orders threads or copies.
func syncChanges(opcode, rest string) ([]string, bool) {
	const nothing = "\t// dropped"
	switch {
	case strings.HasPrefix(opcode, "bar.sync"), strings.HasPrefix(opcode, "barrier.sync"), opcode == "cp.async.wait_all", opcode == "cp.async.commit_group":
		return []string{nothing}, true
	case opcode == "cp.async.wait_group":
		n, _ := strconv.Atoi(rest)
		return []string{nothing, fmt.Sprintf("\tcp.async.wait_group %d;", n+1)}, true
	}
	return nil, false
}

// splitArguments splits at commas that are in no braces or brackets.
func splitArguments(s string) []string {
	var args []string
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(args, strings.TrimSpace(s[from:]))
}

func negated(guard string) string {
	if strings.HasPrefix(guard, "@!") {
		return "@" + guard[2:]
	}
	return "@!" + guard[1:]
}

func isAccess(opcode string) bool {
	for _, p := range []string{"ld.global", "st.global", "ld.shared", "st.shared", "ldmatrix", "cp.async.c"} {
		if strings.HasPrefix(opcode, p) {
			return true
		}
	}
	return false
}

// accessBytes is the size of what one lane accesses.
func accessBytes(opcode string) int {
	if strings.HasPrefix(opcode, "cp.async") || strings.HasPrefix(opcode, "ldmatrix") {
		return 16
	}
	size := 4
	for bits, bytes := range map[string]int{"8": 1, "16": 2, "32": 4, "64": 8} {
		if strings.HasSuffix(opcode, bits) && !(bits == "8" && strings.HasSuffix(opcode, "128")) {
			size = bytes
		}
	}
	switch {
	case strings.Contains(opcode, ".v2"):
		size *= 2
	case strings.Contains(opcode, ".v4"):
		size *= 4
	}
	return size
}

// movedPlace adds n bytes to the last address of an instruction: the source of a copy.
func movedPlace(rest string, n int) (string, bool) {
	all := placePattern.FindAllStringSubmatchIndex(rest, -1)
	if all == nil {
		return "", false
	}
	at := all[len(all)-1]
	offset := 0
	if at[6] >= 0 {
		offset, _ = strconv.Atoi(rest[at[6]:at[7]])
	}
	return fmt.Sprintf("%s[%s+%d]%s", rest[:at[0]], rest[at[2]:at[3]], offset+n, rest[at[1]:]), true
}

// otherComparison is the opcode of setp with the comparison that differs where
// both sides are equal.
func otherComparison(opcode string) string {
	parts := strings.Split(opcode, ".")
	other := map[string]string{"lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "eq": "ne", "ne": "eq",
		"ltu": "leu", "leu": "ltu", "gtu": "geu", "geu": "gtu", "equ": "neu", "neu": "equ", "lo": "ls", "ls": "lo", "hi": "hs", "hs": "hi"}[parts[1]]
	if other == "" {
		return ""
	}
	parts[1] = other
	return strings.Join(parts, ".")
}

// otherOperation is an operation of the same form that gives something else.
var otherOperation = map[string]string{"max": "min", "min": "max", "and": "or", "or": "and", "xor": "or", "shl": "shr", "sub": "add", "add": "sub"}

// swappedArguments swaps two operands whose order matters, or registers of an
// operand of a tensor core.
func swappedArguments(stem string, args []string) ([]string, bool) {
	swapped := append([]string{}, args...)
	switch {
	case (stem == "sub" || stem == "div" || stem == "shl" || stem == "shr") && len(args) == 3 && args[1] != args[2] && strings.HasPrefix(args[2], "%"):
		swapped[1], swapped[2] = args[2], args[1]
	case stem == "selp" && args[1] != args[2]:
		swapped[1], swapped[2] = args[2], args[1]
	case stem == "fma" && args[2] != args[3]:
		swapped[2], swapped[3] = args[3], args[2]
	case stem == "mad" && args[2] != args[3] && strings.HasPrefix(args[3], "%") && strings.HasPrefix(args[2], "%"):
		swapped[2], swapped[3] = args[3], args[2]
	case stem == "mma" && len(args) >= 4:
		registers := strings.Split(strings.Trim(args[1], "{} "), ",")
		if len(registers) < 2 {
			return nil, false
		}
		registers[0], registers[1] = registers[1], registers[0]
		swapped[1] = "{" + strings.Join(registers, ",") + "}"
	case stem == "cvt" && len(args) == 3 && args[1] != args[2]:
		swapped[1], swapped[2] = args[2], args[1]
	default:
		return nil, false
	}
	return swapped, true
}
