package kernels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A threadFlow works out what registers hold that depend on nothing but the
// number of a thread in its block, and with that of some mutants that they
// compute the same. No reader's reason is needed for those.
type threadFlow struct {
	listing
	written map[string][]int // where a register is set
	labels  map[string]int   // where they stand
	threads int
	known   map[string]threadValues // by a register and where it is set
	reached map[int][]bool          // by what comes before
}

// threadValues are one for each thread of a block; nil where they are not known.
type threadValues []uint64

func newThreadFlow(ptx string, threads int) *threadFlow {
	f := &threadFlow{newListing(ptx), map[string][]int{}, map[string]int{}, threads, map[string]threadValues{}, map[int][]bool{}}
	for i, x := range f.listing {
		if x.label != "" {
			f.labels[x.label] = i
		}
		if len(x.args) == 0 || strings.HasPrefix(x.opcode, "st.") || strings.HasPrefix(x.opcode, "cp.") {
			continue
		}
		for _, r := range strings.FieldsFunc(x.args[0], func(r rune) bool { return strings.ContainsRune("{}, |", r) }) {
			f.written[r] = append(f.written[r], i)
		}
	}
	return f
}

// proves tells that a mutant's instruction gives every thread what it gave
// before, whatever is not known:
//
//   - both results are known and alike,
//   - a shift to the right by 31 and more leaves the sign of 32 bits,
//   - a field that is put into 32 bits ends with them, or would behind them,
//   - nothing is added or taken away, or is put together with another number.
func (f *threadFlow) proves(m mutant) bool {
	before, after, _ := strings.Cut(m.what, " => ")
	both := newListing(before + ";\n" + after + ";")
	at := slices.IndexFunc(f.listing, func(x listed) bool { return x.text == before })
	if at < 0 || len(both) != 2 || len(both[0].args) < 3 || len(both[0].args) != len(both[1].args) || both[0].guard+both[1].guard != "" {
		return false
	}
	x, y := both[0].bitOp, both[1].bitOp
	if old, changed := f.result(x, at), f.result(y, at); old != nil && changed != nil {
		return slices.Equal(old, changed)
	}
	if x.opcode == y.opcode && slices.Equal(x.args[1:3], y.args[1:3]) && x.opcode == "bfi.b32" {
		return reach(x) >= 32 && reach(y) >= 32
	}
	if x.opcode == "shr.s32" && y.opcode == "shr.s32" && x.args[1] == y.args[1] {
		return atLeast31(x.args[2]) && atLeast31(y.args[2])
	}
	if !slices.Equal(x.args, y.args) {
		return false
	}
	switch stemOf(x.opcode) + " " + stemOf(y.opcode) {
	case "add sub", "sub add":
		return f.nothing(x.args[2], at)
	case "xor or":
		return f.nothing(x.args[1], at) || f.nothing(x.args[2], at)
	}
	return false
}

func stemOf(opcode string) string {
	stem, _, _ := strings.Cut(opcode, ".")
	return stem
}

func atLeast31(amount string) bool {
	n, err := strconv.Atoi(amount)
	return err == nil && n >= 31
}

// reach is the bit behind the field that a bfi fills, if it is known.
func reach(op bitOp) int {
	at, err := strconv.Atoi(op.args[3])
	width, err2 := strconv.Atoi(op.args[4])
	if err != nil || err2 != nil || op.args[3] == "" {
		return 0
	}
	return at + width
}

// nothing tells that an operand is 0 in every thread.
func (f *threadFlow) nothing(operand string, at int) bool {
	v := f.value(operand, at)
	return v != nil && slices.Max(v) == 0
}

// value is what an operand of the instruction at a place holds.
func (f *threadFlow) value(operand string, at int) threadValues {
	if n, err := strconv.ParseInt(operand, 10, 64); err == nil {
		return f.each(func(int) uint64 { return uint64(n) })
	}
	if operand == "%tid.x" {
		return f.each(func(thread int) uint64 { return uint64(thread) })
	}
	set := slices.DeleteFunc(slices.Clone(f.written[operand]), func(i int) bool { return !f.reaches(i, at) })
	key := fmt.Sprint(operand, set)
	if v, ok := f.known[key]; ok {
		return v
	}
	f.known[key] = nil // of what goes round a loop
	var all threadValues
	for i, at := range set {
		x, v := f.listing[at], threadValues(nil)
		if x.guard == "" && x.args[0] == operand {
			v = f.result(x.bitOp, at)
		}
		if v == nil || i > 0 && !slices.Equal(v, all) {
			return nil
		}
		all = v
	}
	f.known[key] = all
	return all
}

// reaches tells that an instruction can run after another.
func (f *threadFlow) reaches(from, to int) bool {
	if f.reached[from] == nil {
		seen := make([]bool, len(f.listing)+1)
		for next := []int{from + 1}; len(next) > 0; {
			i := next[len(next)-1]
			next = next[:len(next)-1]
			for ; i < len(f.listing) && !seen[i]; i++ {
				seen[i] = true
				x := f.listing[i]
				if stemOf(x.opcode) == "bra" {
					next = append(next, f.labels[x.args[0]])
				}
				if x.guard == "" && (stemOf(x.opcode) == "bra" || x.opcode == "ret") {
					break
				}
			}
		}
		f.reached[from] = seen
	}
	return f.reached[from][to]
}

func (f *threadFlow) each(of func(thread int) uint64) threadValues {
	v := make(threadValues, f.threads)
	for i := range v {
		v[i] = of(i)
	}
	return v
}

// result is what an instruction on whole numbers gives at a place, where it is known.
func (f *threadFlow) result(op bitOp, at int) threadValues {
	parts := strings.Split(op.opcode, ".")
	kind, name := parts[len(parts)-1], strings.Join(parts[:len(parts)-1], ".")
	bits, err := strconv.Atoi(strings.TrimLeft(kind, "bsu"))
	if err != nil {
		return nil
	}
	out := bits
	switch {
	case name == "mul.wide":
		out = 2 * bits
	case parts[0] == "setp":
		out = 1
	case parts[0] == "cvt" && len(parts) == 3:
		name = "mov"
		if out, err = strconv.Atoi(strings.TrimLeft(parts[1], "bsu")); err != nil {
			return nil
		}
	}
	operation, ok := threadOperations[name]
	if !ok || len(op.args) != 1+operation.operands {
		return nil
	}
	operands := make([]threadValues, operation.operands)
	for i, a := range op.args[1:] {
		if operands[i] = f.value(a, at); operands[i] == nil {
			return nil
		}
	}
	n := make([]int64, len(operands))
	return f.each(func(thread int) uint64 {
		for i, v := range operands {
			n[i] = number(v[thread], bits, kind[0] == 's')
		}
		return uint64(number(uint64(operation.of(n)), out, false))
	})
}

// number is the lowest bits of x, with their sign or without one.
func number(x uint64, bits int, signed bool) int64 {
	if signed {
		return int64(x<<(64-bits)) >> (64 - bits)
	}
	return int64(x << (64 - bits) >> (64 - bits))
}

// A threadOperation computes with numbers of up to 32 bits, or with 64 where no
// sign matters.
type threadOperation struct {
	operands int
	of       func(n []int64) int64
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

var threadOperations = map[string]threadOperation{
	"mov": {1, func(n []int64) int64 { return n[0] }}, "not": {1, func(n []int64) int64 { return ^n[0] }}, "neg": {1, func(n []int64) int64 { return -n[0] }},
	"add": {2, func(n []int64) int64 { return n[0] + n[1] }}, "sub": {2, func(n []int64) int64 { return n[0] - n[1] }},
	"mul.lo": {2, func(n []int64) int64 { return n[0] * n[1] }}, "mul.wide": {2, func(n []int64) int64 { return n[0] * n[1] }},
	"mad.lo": {3, func(n []int64) int64 { return n[0]*n[1] + n[2] }},
	"and":    {2, func(n []int64) int64 { return n[0] & n[1] }}, "or": {2, func(n []int64) int64 { return n[0] | n[1] }}, "xor": {2, func(n []int64) int64 { return n[0] ^ n[1] }},
	"shl": {2, func(n []int64) int64 { return n[0] << min(63, uint64(n[1])) }}, "shr": {2, func(n []int64) int64 { return n[0] >> min(63, uint64(n[1])) }},
	"min": {2, func(n []int64) int64 { return min(n[0], n[1]) }}, "max": {2, func(n []int64) int64 { return max(n[0], n[1]) }},
	"bfi": {4, func(n []int64) int64 {
		field := (int64(1)<<n[3] - 1) << n[2]
		return n[1]&^field | n[0]<<n[2]&field
	}},
	"setp.lt": {2, func(n []int64) int64 { return truth(n[0] < n[1]) }}, "setp.le": {2, func(n []int64) int64 { return truth(n[0] <= n[1]) }},
	"setp.gt": {2, func(n []int64) int64 { return truth(n[0] > n[1]) }}, "setp.ge": {2, func(n []int64) int64 { return truth(n[0] >= n[1]) }},
	"setp.eq": {2, func(n []int64) int64 { return truth(n[0] == n[1]) }}, "setp.ne": {2, func(n []int64) int64 { return truth(n[0] != n[1]) }},
}

// TestProofs: of kernels all of whose mutants are executed, those that no case
// has left alive are killed, and none of them is proved to compute the same.
func TestProofs(t *testing.T) {
	proved, refutable, kernels := 0, 0, goldens()
	for _, of := range currentSurvivors(t) {
		entry, ptx, record := of.entry, of.ptx, of.record
		f, alive := newThreadFlow(string(ptx), kernels[entry].Threads()), map[string]bool{}
		for _, line := range record[1:] {
			s := recorded(line)
			alive[s.what] = true
			if f.proves(s.mutant) {
				proved++
			}
		}
		var mutant, executed int
		numbers := strings.Fields(record[0][strings.Index(record[0], ":"):])
		mutant, _ = strconv.Atoi(numbers[1])
		executed, _ = strconv.Atoi(numbers[3])
		if mutant != executed {
			continue
		}
		for _, m := range mutants(strings.Split(string(ptx), "\n")) {
			if m.kind != synchronisation && !alive[m.what] {
				refutable++
				if f.proves(m) {
					t.Errorf("%s: a case kills what is proved to be the same: %s", entry, m.what)
				}
			}
		}
	}
	if proved == 0 || refutable == 0 {
		t.Errorf("%d survivors proved, %d mutants killed", proved, refutable)
	}
	t.Logf("%d survivors proved, %d mutants that are killed are not", proved, refutable)
}
