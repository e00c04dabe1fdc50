package ptxsim_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etc/executor/ptxsim"
)

// Threads that end early do not count at a barrier, whichever way they leave.
func TestBarrierWithoutThreadsThatEnded(t *testing.T) {
	for _, leave := range []string{"@%p1 ret;", "@%p1 bra DONE;"} {
		body := `
	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	bar.sync 0;
	setp.ge.s32 %p1, %r1, %r3; ` + leave + `
	bar.sync 0;
	setp.lt.s32 %p2, %r1, 4; @%p2 bra ON;
	st.shared.u32 [%r6], 5;
ON:
	@%p2 st.shared.u32 [%r6], 5;
	bar.sync 0;
	sub.s32 %r7, 9, %r1; shl.b32 %r7, %r7, 2; add.s32 %r7, %r7, %r5;
	ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd3], %r8;
DONE:`
		for _, reverse := range []bool{false, true} {
			out, _, err := trial{threads: 70, n: 10, options: ptxsim.Options{Reverse: reverse}}.run(t, sample(sharedTile, body))
			if err != nil {
				t.Fatalf("%s: %v", leave, err)
			}
			for i := range 70 {
				want := uint64(5)
				if i >= 10 {
					want = 0xffffffff
				}
				if got := get(out[4*i:], 32); got != want {
					t.Fatalf("%s: thread %d has %#x, want %#x", leave, i, got, want)
				}
			}
		}
	}
}

// Lanes part, loop different times and meet again before the shuffle.
func TestThreadsThatPartMeetAgain(t *testing.T) {
	body := `
	mov.u32 %r5, 0; and.b32 %r6, %r1, 7;
AGAIN:
	setp.ge.u32 %p1, %r5, %r6; @%p1 bra OUT;
	add.s32 %r5, %r5, 1; bra.uni AGAIN;
OUT:
	shfl.sync.bfly.b32 %r7, %r5, 1, 31, -1; st.global.u32 [%rd3], %r7;`
	out, _, err := trial{threads: 32}.run(t, sample("", body))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 32 {
		if got := get(out[4*i:], 32); got != uint64((i^1)&7) {
			t.Errorf("lane %d has %d", i, got)
		}
	}
}

// A group that is ahead waits at a barrier for lanes that come by it later.
func TestBarrierInALoopThatLanesReachInTurn(t *testing.T) {
	body := `
	setp.lt.s32 %p2, %r1, 5; mov.u32 %r5, 0;
	@%p2 bra LATER;
AT:
	bar.sync 0;
	mov.u32 %r5, 7; bra.uni END;
LATER:
	bra.uni AT;
END:
	st.global.u32 [%rd3], %r5;`
	out, _, err := trial{threads: 32}.run(t, sample("", body))
	if err != nil || get(out, 32) != 7 || get(out[4*31:], 32) != 7 {
		t.Errorf("%v", err)
	}
}

// What a launch writes, finds and counts is the same for any number of workers.
func TestResultsDoNotDependOnWorkers(t *testing.T) {
	ok := sample(sharedTile, `
	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r2;
	bar.sync 0;
	ld.shared.u32 %r7, [%r6]; shl.b32 %r8, %r2, 7; cvt.u64.u32 %rd6, %r8; add.s64 %rd7, %rd3, %rd6; st.global.u32 [%rd7], %r7;`)
	// Blocks 20 to 29 read shared memory unset; block 40 ends the launch.
	bad := sample(sharedTile, `
	setp.ge.s32 %p1, %r2, 20; setp.lt.and.s32 %p2, %r2, 30, %p1; @%p2 ld.shared.u32 %r7, [tile];
	setp.ge.s32 %p3, %r2, 40; @%p3 ld.global.u32 %r8, [%rd1+8192];`)
	for _, reverse := range []bool{false, true} {
		var outs [][]byte
		var texts []string
		for _, workers := range []int{1, 2, 3, 8} {
			o := ptxsim.Options{Workers: workers, Reverse: reverse, Count: true}
			out, d, err := trial{threads: 32, grid: 60, options: o}.run(t, ok)
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, append(out, fmt.Sprint(d.Counters())...))
			_, _, err = trial{threads: 32, grid: 60, options: o}.run(t, bad)
			texts = append(texts, fmt.Sprint(err))
		}
		for i := range outs {
			if !bytes.Equal(outs[i], outs[0]) || texts[i] != texts[0] {
				t.Errorf("reverse %v: results depend on workers: %s, with one worker %s", reverse, texts[i], texts[0])
			}
		}
		if want := map[bool]string{false: "block 40,0,0", true: "block 59,0,0"}[reverse]; !strings.Contains(texts[0], want) {
			t.Errorf("reverse %v: %s, want %s", reverse, texts[0], want)
		}
	}
}

func TestCounters(t *testing.T) {
	for _, c := range []struct {
		name, body                       string
		wavefronts, ideal, sectors, full int64
	}{
		{"a row", "shl.b32 %r6, %r1, 2; add.s32 %r6, %r6, %r5; st.shared.u32 [%r6], %r1;", 1, 1, 0, 0},
		{"every second word", "shl.b32 %r6, %r1, 3; add.s32 %r6, %r6, %r5; st.shared.u32 [%r6], %r1;", 2, 1, 0, 0},
		{"one bank", "shl.b32 %r6, %r1, 7; add.s32 %r6, %r6, %r5; st.shared.u32 [%r6], %r1;", 32, 1, 0, 0},
		{"8 bytes a lane", "shl.b32 %r6, %r1, 3; add.s32 %r6, %r6, %r5; st.shared.v2.u32 [%r6], {%r1, %r1};", 2, 2, 0, 0},
		{"16 bytes a lane", "shl.b32 %r6, %r1, 4; add.s32 %r6, %r6, %r5; st.shared.v4.u32 [%r6], {%r1, %r1, %r1, %r1};", 4, 4, 0, 0},
		{"16 bytes a lane, 32 apart", "shl.b32 %r6, %r1, 5; add.s32 %r6, %r6, %r5; st.shared.v4.u32 [%r6], {%r1, %r1, %r1, %r1};", 8, 4, 0, 0},
		{"16 bytes a lane, the same in each quarter", "and.b32 %r6, %r1, 7; shl.b32 %r6, %r6, 4; add.s32 %r6, %r6, %r5; ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [%r6];", 4, 4, 0, 0},
		{"a row of 4-byte stores", "st.global.u32 [%rd3], %r1;", 0, 0, 4, 4},
		{"stores 16 bytes apart", "shl.b64 %rd6, %rd5, 2; add.s64 %rd7, %rd1, %rd6; st.global.u32 [%rd7], %r1;", 0, 0, 16, 4},
		{"one word for all", "ld.global.u32 %r6, [%rd2];", 0, 0, 1, 1},
		{"copies of 16 bytes", "shl.b32 %r6, %r1, 4; cvt.u64.u32 %rd6, %r6; add.s64 %rd7, %rd2, %rd6; add.s32 %r6, %r6, %r5; cp.async.cg.shared.global [%r6], [%rd7], 16; cp.async.wait_all;", 4, 4, 16, 16},
		{"copies of nothing", "shl.b32 %r6, %r1, 4; add.s32 %r6, %r6, %r5; cp.async.cg.shared.global [%r6], [%rd2], 16, 0; cp.async.wait_all;", 4, 4, 0, 0},
	} {
		_, d, err := trial{threads: 32, options: ptxsim.Options{Count: true, Unchecked: true}}.run(t, sample(sharedTile, "\tmov.u32 %r5, tile; "+c.body))
		n := d.Counters()
		got := []int64{n.SharedWavefronts, n.IdealWavefronts, n.Sectors, n.IdealSectors}
		if err != nil || !slices.Equal(got, []int64{c.wavefronts, c.ideal, c.sectors, c.full}) {
			t.Errorf("%s: %v, %v, want %d %d %d %d", c.name, got, err, c.wavefronts, c.ideal, c.sectors, c.full)
		}
		if n.Instructions["ret"] != 1 || n.WarpInstructions < 10 {
			t.Errorf("%s: %+v", c.name, n)
		}
	}
}

// ldmatrix of rows that lie in one bank takes a pass for each row.
func TestCountersOfMatrixLoads(t *testing.T) {
	for stride, want := range map[int]int64{4: 1, 5: 2, 7: 8} { // log2 of the bytes between rows
		body := sprint(`
	mov.u32 %%r5, tile; shl.b32 %%r6, %%r1, 4; add.s32 %%r6, %%r6, %%r5;
LOOP:
	st.shared.v4.u32 [%%r6], {%%r1, %%r1, %%r1, %%r1}; add.s32 %%r6, %%r6, 512; setp.lt.s32 %%p1, %%r6, 4096; @%%p1 bra LOOP;
	bar.sync 0;
	and.b32 %%r6, %%r1, 7; shl.b32 %%r6, %%r6, %d; add.s32 %%r6, %%r6, %%r5;
	ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%%r7}, [%%r6];`, stride)
		run := func(body string) int64 {
			_, d, err := trial{threads: 32, options: ptxsim.Options{Count: true}}.run(t, sample(sharedTile, body))
			if err != nil {
				t.Fatal(err)
			}
			return d.Counters().SharedWavefronts
		}
		if got := run(body) - run(body[:strings.Index(body, "\tldmatrix")]); got != want {
			t.Errorf("rows %d bytes apart: %d passes, want %d", 1<<stride, got, want)
		}
	}
}

func TestCoverageTellsBothWaysOfABranch(t *testing.T) {
	text := sample("", `
	setp.lt.s32 %p1, %r1, %r3; @%p1 bra ON; add.s32 %r5, %r1, 1; ON: add.s32 %r6, %r1, 1;`)
	for n, want := range map[int]string{0: "false true 1 1", 32: "true false 0 1", 5: "true true 1 1"} {
		_, d, err := trial{threads: 32, n: n}.run(t, text)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := ptxsim.Parse(text)
		k, _ := m.Kernel("k")
		if c := d.Coverage(k); c[0].Runs != 0 {
			t.Error("another module's kernel is covered")
		}
		for _, c := range d.Coverages() {
			at := slices.IndexFunc(c, func(x ptxsim.Cover) bool { return x.Branch })
			got := sprint("%v %v %d %d", c[at].Taken, c[at].Passed, c[at+1].Runs, c[at+2].Runs)
			if got != want {
				t.Errorf("n %d: %s, want %s", n, got, want)
			}
		}
	}
}

func TestLaunchRefuses(t *testing.T) {
	m, err := ptxsim.Parse(sample(sharedTile, ""))
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Kernel("k")
	if err != nil {
		t.Fatal(err)
	}
	args := []ptxsim.Arg{ptxsim.Ptr(0), ptxsim.Ptr(0), ptxsim.I32(1)}
	good := ptxsim.Launch{Kernel: k, Grid: [3]int{1, 1, 1}, Block: [3]int{32, 1, 1}, Args: args}
	d := ptxsim.NewDevice(ptxsim.Options{})
	if err := d.Launch(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(l *ptxsim.Launch){
		"no kernel":                 func(l *ptxsim.Launch) { l.Kernel = nil },
		"no blocks":                 func(l *ptxsim.Launch) { l.Grid[1] = 0 },
		"too many blocks":           func(l *ptxsim.Launch) { l.Grid[1] = 65536 },
		"too many threads":          func(l *ptxsim.Launch) { l.Block = [3]int{32, 32, 2} },
		"too much shared memory":    func(l *ptxsim.Launch) { l.Shared = 227 << 10 },
		"a missing argument":        func(l *ptxsim.Launch) { l.Args = args[:2] },
		"an argument of wrong size": func(l *ptxsim.Launch) { l.Args = []ptxsim.Arg{args[0], args[2], args[2]} },
	} {
		l := good
		change(&l)
		if err := d.Launch(l); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := m.Kernel("other"); err == nil || !strings.Contains(err.Error(), "it has k") {
		t.Errorf("another kernel: %v", err)
	}
}

func TestMemory(t *testing.T) {
	d := ptxsim.NewDevice(ptxsim.Options{})
	a, b := d.Alloc("a", 100), d.Alloc("b", 100)
	if a%256 != 0 || b%256 != 0 {
		t.Errorf("addresses %#x %#x", a, b)
	}
	got := make([]byte, 4)
	if err := d.Read(got, a+96); err != nil || !bytes.Equal(got, []byte{255, 255, 255, 255}) {
		t.Errorf("%v %v", got, err)
	}
	if err := d.Write(a+10, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	if !d.Initialized(a+10, 2) || d.Initialized(a+10, 3) || d.Initialized(a+98, 4) {
		t.Error("initialised bytes")
	}
	if d.Write(a+99, []byte{1, 2}) == nil || d.Read(got, a-4) == nil {
		t.Error("copies beyond an allocation")
	}
	d.Free(a)
	if d.Read(got, a) == nil {
		t.Error("read of freed memory")
	}
	if c := d.Alloc("c", 10); c == a {
		t.Error("an address comes again")
	}
}

func TestFindingNamesTheSource(t *testing.T) {
	text := strings.Replace(string(sample("", `
	.loc 1 10 3
	add.s32 %r5, %r1, 1;
	.loc 2 7 3, function_name $L, inlined_at 1 12 5
	ld.global.u32 %r6, [%rd1+8192];`)), ".visible", ".file 1 \"/a/b/family.cu\"\n.file 2 \"/a/prelude.cuh\"\n.visible", 1)
	_, _, err := trial{threads: 33}.run(t, []byte(text))
	if err == nil || !strings.HasPrefix(err.Error(), "k: family.cu:12: out of bounds: 4 bytes at to+8192 of 8192 bytes (block 0,0,0 thread 0") {
		t.Error(err)
	}
}
