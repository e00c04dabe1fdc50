package ptxsim_test

// The tests in the files manual_*_test.go hold the simulator against the PTX
// manual. Their tables and formulas were taken from the manual by someone who
// had read neither the simulator nor the kernels; docs/verification.md names
// the section of each. A program here is PTX text: each lane loads a record
// of registers that the host laid out by the table, executes the instruction
// and stores its result registers; the host reads them back by the table.
//
// Each test also runs with tables that are wrong on purpose and must then
// disagree: a permutation that went unseen would be a test that shows nothing.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"etc/executor/ptxsim"
)

// warp is the number of lanes.
const warp = 32

// A program is the body of a kernel of blocks of threads (32 if 0). Thread i
// of all blocks finds its record of in words in registers %i0, %i1, ... and
// leaves out words in %o0, %o1, ... Its own record lies at %rd10 and its
// result goes to %rd11; %rd12 is a third pointer, %r0 the thread within the
// block, and %r1 the start of the block's shared bytes.
type program struct {
	in, out int
	body    string
	shared  int // bytes
	threads int // of a block
	extra   int // bytes behind the third pointer
	options ptxsim.Options
}

// text is the module.
func (p program) text() string {
	var b strings.Builder
	b.WriteString(".version 7.1\n.target sm_80\n.address_size 64\n\n")
	if p.shared > 0 {
		b.WriteString(".extern .shared .align 16 .b8 smem[];\n\n")
	}
	b.WriteString(".visible .entry manual(\n\t.param .u64 manual_param_0,\n\t.param .u64 manual_param_1,\n\t.param .u64 manual_param_2\n)\n{\n")
	b.WriteString("\t.reg .pred %p<8>;\n\t.reg .b16 %rs<8>;\n\t.reg .b32 %r<32>;\n\t.reg .f32 %f<16>;\n\t.reg .b64 %rd<24>;\n")
	fmt.Fprintf(&b, "\t.reg .b32 %%i<%d>;\n\t.reg .b32 %%o<%d>;\n\n", p.in+1, p.out+1)
	b.WriteString("\tld.param.u64 %rd1, [manual_param_0];\n\tld.param.u64 %rd2, [manual_param_1];\n\tld.param.u64 %rd3, [manual_param_2];\n")
	b.WriteString("\tcvta.to.global.u64 %rd4, %rd1;\n\tcvta.to.global.u64 %rd5, %rd2;\n\tcvta.to.global.u64 %rd12, %rd3;\n")
	b.WriteString("\tmov.u32 %r0, %tid.x;\n\tmov.u32 %r2, %ctaid.x;\n\tmov.u32 %r3, %ntid.x;\n\tmad.lo.s32 %r4, %r2, %r3, %r0;\n")
	fmt.Fprintf(&b, "\tmul.wide.s32 %%rd6, %%r4, %d;\n\tadd.s64 %%rd10, %%rd4, %%rd6;\n", 4*p.in)
	fmt.Fprintf(&b, "\tmul.wide.s32 %%rd7, %%r4, %d;\n\tadd.s64 %%rd11, %%rd5, %%rd7;\n", 4*p.out)
	if p.shared > 0 {
		b.WriteString("\tmov.u32 %r1, smem;\n")
	}
	for i := range p.in {
		fmt.Fprintf(&b, "\tld.global.u32 %%i%d, [%%rd10+%d];\n", i, 4*i)
	}
	b.WriteString(p.body)
	for i := range p.out {
		fmt.Fprintf(&b, "\tst.global.u32 [%%rd11+%d], %%o%d;\n", 4*i, i)
	}
	b.WriteString("\tret;\n}\n")
	return b.String()
}

// launch runs the program on records and returns the results, thread by
// thread, and what the simulator reported.
func (p program) launch(t *testing.T, records []uint32) ([]uint32, error) {
	t.Helper()
	module, err := ptxsim.Parse([]byte(p.text()))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.text())
	}
	kernel, err := module.Kernel("manual")
	if err != nil {
		t.Fatal(err)
	}
	threads := max(p.threads, warp)
	if p.threads == 0 {
		threads = warp
	}
	blocks := len(records) / (p.in * threads)
	if blocks*p.in*threads != len(records) {
		t.Fatalf("%d words for blocks of %d threads with %d each", len(records), threads, p.in)
	}
	device := ptxsim.NewDevice(p.options)
	in := device.Alloc("in", 4*len(records))
	out := device.Alloc("out", 4*blocks*threads*p.out)
	extra := device.Alloc("extra", max(p.extra, 1))
	if err := errors.Join(device.Write(in, words(records)), device.Write(extra, ramp(p.extra))); err != nil {
		t.Fatal(err)
	}
	reported := device.Launch(ptxsim.Launch{
		Kernel: kernel,
		Grid:   [3]int{blocks, 1, 1},
		Block:  [3]int{threads, 1, 1},
		Shared: p.shared,
		Args:   []ptxsim.Arg{ptxsim.Ptr(in), ptxsim.Ptr(out), ptxsim.Ptr(extra)},
	})
	bytes := make([]byte, 4*blocks*threads*p.out)
	if err := device.Read(bytes, out); err != nil {
		t.Fatal(err)
	}
	results := make([]uint32, len(bytes)/4)
	for i := range results {
		results[i] = binary.LittleEndian.Uint32(bytes[4*i:])
	}
	return results, reported
}

// run is launch where nothing may be reported.
func (p program) run(t *testing.T, records []uint32) []uint32 {
	t.Helper()
	results, err := p.launch(t, records)
	if err != nil {
		t.Fatalf("a program that the manual allows was reported: %v\n%s", err, p.text())
	}
	return results
}

// reported fails unless err is a finding of the simulator's.
func reported(t *testing.T, err error, what string) {
	t.Helper()
	var finding *ptxsim.Finding
	if !errors.As(err, &finding) {
		t.Errorf("%s: reported %v, want a finding", what, err)
		return
	}
	t.Logf("%s: %v", what, finding)
}

// words is v in little-endian bytes.
func words(v []uint32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// ramp is n bytes 1, 2, 3, ..., none of them 0.
func ramp(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%255 + 1)
	}
	return b
}

// A reference is what the manual says of an instruction: the result words for
// the record of one lane.
type reference func(record []uint32) []uint32

// compare runs the program, wants right in every lane, and wants each of the
// wrong references to disagree somewhere.
func (p program) compare(t *testing.T, records []uint32, right reference, wrong map[string]reference) {
	t.Helper()
	results := p.run(t, records)
	if at := p.differs(records, results, right); at >= 0 {
		record, got := records[at*p.in:][:p.in], results[at*p.out:][:p.out]
		t.Errorf("for %#x the simulator gives %#x, the manual %#x\n%s", record, got, right(record), p.body)
	}
	for name, reference := range wrong {
		if p.differs(records, results, reference) < 0 {
			t.Errorf("nothing here tells the manual from %q", name)
		}
	}
}

// differs is the first thread whose results are not the reference's, or -1.
func (p program) differs(records, results []uint32, want reference) int {
	for i := range len(records) / p.in {
		for j, w := range want(records[i*p.in:][:p.in]) {
			if results[i*p.out+j] != w {
				return i
			}
		}
	}
	return -1
}

// randomWords are n words, one in four of them of few bits.
func randomWords(r *rand.Rand, n int) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = r.Uint32()
		if r.Intn(4) == 0 {
			v[i] >>= r.Intn(32)
		}
	}
	return v
}
