package ptxsim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A Kind is what a detector found.
type Kind string

const (
	SharedRace    Kind = "shared race"     // two threads use shared memory with no barrier between
	AsyncRace     Kind = "async race"      // use of memory that a copy still writes
	AsyncLeak     Kind = "async leak"      // a copy that is never waited for
	OutOfBounds   Kind = "out of bounds"   //
	Misaligned    Kind = "misaligned"      //
	Uninitialized Kind = "uninitialised"   // read before any write
	GlobalRace    Kind = "global conflict" // two blocks of a launch use memory that one writes
	ReadOnly      Kind = "read-only path"  // a write to what ld.global.nc of the same launch reads
	Divergence    Kind = "divergence"      // a collective instruction that not all threads reach
	Runaway       Kind = "runaway"         // a warp that does not end
	BadMetadata   Kind = "bad metadata"    // of mma.sp::ordered_metadata
	Trap          Kind = "trap"            // the kernel stopped itself
)

// A Finding is a defect that a detector saw: the first of its kind at its
// line of the source.
type Finding struct {
	Kind        Kind
	Kernel      string
	File        string // of the .cu, empty without -lineinfo
	Line        int    // of File
	PTXLine     int
	Instruction string // the opcode
	Block       [3]int
	Thread      int // in the block
	Text        string
}

func (f *Finding) Error() string {
	where := fmt.Sprintf("PTX line %d", f.PTXLine)
	if f.File != "" {
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %s (block %d,%d,%d thread %d, %s, PTX line %d)", f.Kernel, where, f.Kind, f.Text,
		f.Block[0], f.Block[1], f.Block[2], f.Thread, f.Instruction, f.PTXLine)
}

// A place tells findings apart: a second one of the kind at the same
// instruction is not kept.
type place struct {
	kind Kind
	pc   int32
}

// mostReports ends a block that reports again and again.
const mostReports = 1000

// A stop unwinds a block that cannot go on.
type stop struct{}

// report keeps a finding and lets the block go on.
func (w *warp) report(in *inst, lane int, kind Kind, format string, args ...any) {
	b := w.block
	at := place{kind, in.pc}
	if f := b.found[at]; f == nil || f.order > b.order {
		b.found[at] = &ordered{b.order, w.finding(in, lane, kind, fmt.Sprintf(format, args...))}
	}
	if b.reports++; b.reports > mostReports {
		panic(stop{})
	}
}

// An ordered finding is that of the block that ran as the order-th.
type ordered struct {
	order int
	*Finding
}

func (w *warp) finding(in *inst, lane int, kind Kind, text string) *Finding {
	k := w.block.run.k
	file, line := k.source(in.pos)
	return &Finding{kind, k.name, file, line, in.line, in.op, w.block.index, w.thread(lane), text}
}

// fatal keeps a finding and ends the block.
func (w *warp) fatal(in *inst, lane int, kind Kind, format string, args ...any) {
	w.report(in, lane, kind, format, args...)
	panic(stop{})
}

// most findings that one launch returns
const mostFindings = 20

// join makes one error of what the blocks found up to the one that ran as the
// last-th, in the order of blocks and code.
func join(found []map[place]*ordered, last int) error {
	first := map[place]*ordered{}
	for _, m := range found {
		for at, f := range m {
			if old := first[at]; f.order <= last && (old == nil || f.order < old.order) {
				first[at] = f
			}
		}
	}
	var list []*ordered
	for _, f := range first {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *ordered) int {
		return cmp.Or(a.order-b.order, a.PTXLine-b.PTXLine, cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Instruction, b.Instruction))
	})
	var errs []error
	for _, f := range list[:min(len(list), mostFindings)] {
		errs = append(errs, f.Finding)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
