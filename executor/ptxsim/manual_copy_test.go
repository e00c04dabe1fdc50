package ptxsim_test

import (
	"fmt"
	"strings"
	"testing"

	"etc/executor/ptxsim"
)

// The rules of "Non-bulk copy": cp.async, cp.async.commit_group,
// cp.async.wait_group and cp.async.wait_all. A lane's slot is 64 bytes of
// shared memory at %r13, which it fills first: a copy that has not landed
// leaves old there.

const (
	slot = 64
	old  = 0xa5a5a5a5
)

// copies is a program of lanes with slots and in words a record: the body,
// then a load of each of the slot's words at the offsets. Last it waits for
// all copies, so that what is reported is not a copy that nobody waited for.
func copies(in int, body string, offsets ...int) program {
	var b strings.Builder
	fmt.Fprintf(&b, "\tmul.lo.s32 %%r10, %%r0, %d;\n\tadd.s32 %%r13, %%r1, %%r10;\n\tmov.u32 %%r14, %d;\n", slot, uint32(old))
	for at := 0; at < slot; at += 16 {
		fmt.Fprintf(&b, "\tst.shared.v4.u32 [%%r13+%d], {%%r14, %%r14, %%r14, %%r14};\n", at)
	}
	b.WriteString("\tbar.sync 0;\n" + body)
	for i, at := range offsets {
		fmt.Fprintf(&b, "\tld.shared.u32 %%o%d, [%%r13+%d];\n", i, at)
	}
	b.WriteString("\tcp.async.wait_all;\n")
	return program{in: in, out: len(offsets), shared: warp * slot, body: b.String()}
}

// modes are the two ways that copies may land.
func modes(p program, test func(name string, p program)) {
	for _, early := range []bool{false, true} {
		p.options.EarlyCopies = early
		test(fmt.Sprintf("EarlyCopies %v", early), p)
	}
}

// numbered are records whose words are all different.
func numbered(in int) []uint32 {
	v := make([]uint32, in*warp)
	for i := range v {
		v[i] = 0x01020304 + uint32(i)*0x01010101
	}
	return v
}

// bytesOf are the bytes of a lane's words.
func bytesOf(v []uint32, lane, perLane int) []byte { return words(v[lane*perLane:][:perLane]) }

// "Operand src-size represents the size of the data in bytes to be copied
// from src to dst and must be less than cp-size. In such case, remaining
// bytes in destination dst are filled with zeros." Equal sizes copy all.
func TestManualCopyZeroFill(t *testing.T) {
	for _, copy := range []struct {
		kind string
		size int
	}{{"ca", 4}, {"ca", 8}, {"ca", 16}, {"cg", 16}} {
		for source := 0; source <= copy.size; source++ {
			for _, operand := range []string{fmt.Sprint(source), "%r20"} {
				body := fmt.Sprintf("\tmov.u32 %%r20, %d;\n\tadd.s32 %%r11, %%r13, 16;\n\tcp.async.%s.shared.global [%%r11], [%%rd10], %d, %s;\n\tcp.async.wait_all;\n",
					source, copy.kind, copy.size, operand)
				modes(copies(4, body, 12, 16, 20, 24, 28, 32), func(name string, p program) {
					in := numbered(4)
					got := p.run(t, in)
					for lane := range warp {
						want := words([]uint32{old, old, old, old, old, old})
						for i := range copy.size {
							want[4+i] = 0
							if i < source {
								want[4+i] = bytesOf(in, lane, 4)[i]
							}
						}
						if have := bytesOf(got, lane, 6); string(have) != string(want) {
							t.Fatalf("cp.async.%s %d, %s (%s): lane %d has % x, by the manual % x", copy.kind, copy.size, operand, name, lane, have, want)
						}
					}
				})
			}
		}
	}
}

// Without src-size all of cp-size is copied.
func TestManualCopyWhole(t *testing.T) {
	for _, instruction := range []string{"ca.shared.global [%r13], [%rd10], 4", "ca.shared.global [%r13], [%rd10], 8",
		"ca.shared.global [%r13], [%rd10], 16", "cg.shared.global [%r13], [%rd10], 16"} {
		var size int
		if _, err := fmt.Sscanf(instruction[strings.LastIndex(instruction, " "):], "%d", &size); err != nil {
			t.Fatal(err)
		}
		modes(copies(4, "\tcp.async."+instruction+";\n\tcp.async.commit_group;\n\tcp.async.wait_group 0;\n", 0, 4, 8, 12), func(name string, p program) {
			in := numbered(4)
			for i, w := range p.run(t, in) {
				want := uint32(old)
				if i%4*4 < size {
					want = in[i]
				}
				if w != want {
					t.Fatalf("%s (%s): word %d is %#x, want %#x", instruction, name, i, w, want)
				}
			}
		})
	}
}

// Only src-size bytes are read: what follows may lie outside of any
// allocation, and so may the source of a copy of nothing, as CUTLASS has it.
// The third pointer has as many bytes as are copied.
func TestManualCopyReadsOnlySource(t *testing.T) {
	for source := range 16 {
		body := fmt.Sprintf("\tcp.async.cg.shared.global [%%r13], [%%rd12], 16, %d;\n\tcp.async.wait_all;\n", source)
		if source == 0 {
			body = "\tcp.async.cg.shared.global [%r13], [%rd12+16], 16, 0;\n\tcp.async.wait_all;\n"
		}
		modes(copies(1, body, 0, 4, 8, 12), func(name string, p program) {
			p.extra = source
			got := bytesOf(p.run(t, make([]uint32, warp)), 0, 4)
			want := append(ramp(source), make([]byte, 16-source)...)
			if string(got) != string(want) {
				t.Errorf("src-size %d (%s): % x, want % x", source, name, got, want)
			}
		})
	}
	body := "\tcp.async.cg.shared.global [%r13], [%rd12], 16, 8;\n\tcp.async.wait_all;\n"
	modes(copies(1, body, 0), func(name string, p program) {
		p.extra = 4
		_, err := p.launch(t, make([]uint32, warp))
		reported(t, err, "8 bytes of 4 ("+name+")")
	})
}

// "Specifying src-size larger than cp-size results in undefined behavior",
// and addresses must be "naturally aligned to a multiple of the access size".
func TestManualCopyUndefined(t *testing.T) {
	for what, body := range map[string]string{
		"src-size 17 of 16":       "\tmov.u32 %r20, 17;\n\tcp.async.cg.shared.global [%r13], [%rd10], 16, %r20;\n",
		"src-size 8 of 4":         "\tmov.u32 %r20, 8;\n\tcp.async.ca.shared.global [%r13], [%rd10], 4, %r20;\n",
		"16 bytes to 8 of 16":     "\tcp.async.cg.shared.global [%r13+8], [%rd10], 16;\n",
		"16 bytes from 4 of 16":   "\tcp.async.cg.shared.global [%r13], [%rd10+4], 16;\n",
		"16 bytes from 8, by .ca": "\tcp.async.ca.shared.global [%r13], [%rd10+8], 16;\n",
		"8 bytes to 4 of 8":       "\tcp.async.ca.shared.global [%r13+4], [%rd10], 8;\n",
		"8 bytes from 4 of 8":     "\tcp.async.ca.shared.global [%r13], [%rd10+4], 8;\n",
		"4 bytes to 2 of 4":       "\tcp.async.ca.shared.global [%r13+2], [%rd10], 4;\n",
	} {
		modes(copies(8, body+"\tcp.async.wait_all;\n", 0), func(name string, p program) {
			_, err := p.launch(t, numbered(8))
			reported(t, err, what+" ("+name+")")
		})
	}
}

// Three groups of one copy each, to bytes 0, 16 and 32 of the slot.
const threeGroups = "\tcp.async.ca.shared.global [%r13], [%rd10], 4;\n\tcp.async.commit_group;\n" +
	"\tcp.async.cg.shared.global [%r13+16], [%rd10+16], 16;\n\tcp.async.commit_group;\n" +
	"\tcp.async.ca.shared.global [%r13+32], [%rd10+32], 8;\n\tcp.async.commit_group;\n"

// "cp.async.wait_group instruction will cause executing thread to wait till
// only N or fewer of the most recent cp.async-groups are pending and all the
// prior cp.async-groups committed by the executing threads are complete."
// Reading what is not complete is undefined: a finding. Without detectors the
// two modes are the two ends of what may happen.
func TestManualCopyGroups(t *testing.T) {
	for n := range 5 {
		for group := range 3 {
			complete := group < 3-n
			modes(copies(12, threeGroups+fmt.Sprintf("\tcp.async.wait_group %d;\n", n), 16*group), func(name string, p program) {
				what := fmt.Sprintf("group %d of 3 after wait_group %d (%s)", group+1, n, name)
				in := numbered(12)
				results, err := p.launch(t, in)
				if !complete {
					reported(t, err, what)
				} else if err != nil {
					t.Errorf("%s: reported %v", what, err)
				}
				p.options.Unchecked = true
				unchecked := p.run(t, in)
				for lane := range warp {
					landed := in[12*lane+4*group]
					if complete && results[lane] != landed {
						t.Fatalf("%s: lane %d has %#x, want %#x", what, lane, results[lane], landed)
					}
					want := landed
					if !complete && !p.options.EarlyCopies {
						want = old
					}
					if unchecked[lane] != want {
						t.Fatalf("%s, unchecked: lane %d has %#x, want %#x", what, lane, unchecked[lane], want)
					}
				}
			})
		}
	}
}

// What is complete and what is not, without and with empty groups.
func TestManualCopyCompletion(t *testing.T) {
	const copied = "\tcp.async.cg.shared.global [%r13], [%rd10], 16;\n"
	const commit = "\tcp.async.commit_group;\n"
	for _, c := range []struct {
		what, body string
		complete   bool
	}{
		{"no wait", copied, false},
		{"a commit and no wait", copied + commit, false},
		{"wait_group 0 without a commit: the copy is in no group", copied + "\tcp.async.wait_group 0;\n", false},
		{"wait_all without a commit", copied + "\tcp.async.wait_all;\n", true},
		{"wait_group 0", copied + commit + "\tcp.async.wait_group 0;\n", true},
		{"wait_group 1", copied + commit + "\tcp.async.wait_group 1;\n", false},
		{"wait_group 1 after an empty group", copied + commit + commit + "\tcp.async.wait_group 1;\n", true},
		{"wait_group 2 after an empty group", copied + commit + commit + "\tcp.async.wait_group 2;\n", false},
		{"wait_group 2 after two empty groups", copied + commit + commit + commit + "\tcp.async.wait_group 2;\n", true},
		{"an empty group before", commit + copied + commit + "\tcp.async.wait_group 1;\n", false},
		{"a wait before", "\tcp.async.wait_all;\n" + copied + commit, false},
		{"a barrier and no wait", copied + commit + "\tbar.sync 0;\n", false},
	} {
		modes(copies(4, c.body, 0, 4, 8, 12), func(name string, p program) {
			in := numbered(4)
			results, err := p.launch(t, in)
			if !c.complete {
				reported(t, err, c.what+" ("+name+")")
				return
			}
			if err != nil || !equal(results, in) {
				t.Errorf("%s (%s): %v, copied right: %v", c.what, name, err, equal(results, in))
			}
		})
	}
}

// "Writes performed by cp.async operations are made visible to the executing
// thread only": another thread sees them after a barrier that follows the
// wait. Warp 0 copies, warp 1 reads.
func TestManualCopyOtherThreads(t *testing.T) {
	const fill = "\tand.b32 %r10, %r0, 31;\n\tshl.b32 %r10, %r10, 4;\n\tadd.s32 %r13, %r1, %r10;\n\tmov.u32 %o0, 0;\n\tsetp.gt.u32 %p1, %r0, 31;\n" +
		"\t@%p1 bra $L__1;\n\tmov.u32 %r14, 5;\n\tst.shared.v4.u32 [%r13], {%r14, %r14, %r14, %r14};\n"
	const copied = "\tcp.async.cg.shared.global [%r13], [%rd10], 16;\n"
	const wait, barrier, join = "\tcp.async.wait_all;\n", "\tbar.sync 0;\n", "$L__1:\n"
	const read = "\t@!%p1 bra $L__2;\n\tld.shared.u32 %o0, [%r13+4];\n$L__2:\n" + wait
	for _, c := range []struct {
		what, body string
		right      bool
	}{
		{"wait, barrier, read", fill + copied + wait + join + barrier + read, true},
		{"wait, read", fill + copied + wait + join + read, false},
		{"barrier, wait, read", fill + copied + join + barrier + wait + read, false},
		{"barrier, read", fill + copied + join + barrier + read, false},
	} {
		for _, reverse := range []bool{false, true} {
			p := program{in: 4, out: 1, shared: 512, threads: 64, body: c.body, options: ptxsim.Options{Reverse: reverse}}
			modes(p, func(name string, p program) {
				what := fmt.Sprintf("%s (%s, Reverse %v)", c.what, name, reverse)
				in := append(numbered(4), make([]uint32, 4*warp)...)
				results, err := p.launch(t, in)
				if !c.right {
					reported(t, err, what)
					return
				}
				if err != nil {
					t.Errorf("%s: reported %v", what, err)
				}
				for lane := range warp {
					if results[warp+lane] != in[4*lane+1] {
						t.Fatalf("%s: thread %d read %#x, want %#x", what, warp+lane, results[warp+lane], in[4*lane+1])
					}
				}
			})
		}
	}
}
