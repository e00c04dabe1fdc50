package ptxsim_test

import (
	"slices"
	"strings"
	"testing"

	"etc/executor/ptxsim"
)

const sharedTile = ".shared .align 16 .b8 tile[4096];\n\t.shared .align 16 .b8 next[512];"

// detectorCases: each program has a fault, and a twin without it, which
// differs by the text replaced.
var detectorCases = []struct {
	name     string
	kind     ptxsim.Kind
	trial    trial
	body     string
	old, new string // what makes the twin of body
}{
	{
		"read of what another thread writes", ptxsim.SharedRace, trial{threads: 64},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	// sync
	xor.b32 %r7, %r4, 128; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd3], %r8;`,
		"// sync", "bar.sync 0;",
	},
	{
		"write of what another thread reads", ptxsim.SharedRace, trial{threads: 64},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	bar.sync 0;
	xor.b32 %r7, %r4, 128; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7];
	// sync
	st.shared.u32 [%r6], %r8;`,
		"// sync", "bar.sync 0;",
	},
	{
		"two writes", ptxsim.SharedRace, trial{threads: 64},
		`	mov.u32 %r5, tile; and.b32 %r6, %r4, 127; add.s32 %r6, %r6, %r5; st.shared.u32 [%r6], %r1;`,
		"and.b32 %r6, %r4, 127", "and.b32 %r6, %r4, 255",
	},
	{
		"within a warp", ptxsim.SharedRace, trial{threads: 32},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	// sync
	xor.b32 %r7, %r4, 4; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd3], %r8;`,
		"// sync", "bar.warp.sync 0xffffffff;",
	},
	{
		"write within a warp of what a neighbour reads", ptxsim.SharedRace, trial{threads: 32},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	bar.sync 0;
	xor.b32 %r7, %r4, 4; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7];
	// sync
	st.shared.u32 [%r6], %r8;`,
		"// sync", "bar.warp.sync 0xffffffff;",
	},
	{
		"read of a copy under way", ptxsim.AsyncRace, trial{threads: 32},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4;
	cp.async.ca.shared.global [%r6], [%rd4], 4; cp.async.commit_group;
	cp.async.wait_group 1;
	ld.shared.u32 %r8, [%r6]; st.global.u32 [%rd3], %r8; cp.async.wait_all;`,
		"wait_group 1", "wait_group 0",
	},
	{
		"write over a copy under way", ptxsim.AsyncRace, trial{threads: 32},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4;
	cp.async.ca.shared.global [%r6], [%rd4], 4; cp.async.commit_group;
	// wait
	st.shared.u32 [%r6], %r1; cp.async.wait_all;`,
		"// wait", "cp.async.wait_group 0;",
	},
	{
		"a copy to what others still read", ptxsim.SharedRace, trial{threads: 64},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; st.shared.u32 [%r6], %r1;
	bar.sync 0;
	xor.b32 %r7, %r4, 128; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7];
	// sync
	cp.async.ca.shared.global [%r6], [%rd4], 4; cp.async.wait_all;`,
		"// sync", "bar.sync 0;",
	},
	{
		"a copy waited for by its thread only", ptxsim.SharedRace, trial{threads: 64},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4;
	cp.async.ca.shared.global [%r6], [%rd4], 4; cp.async.wait_all;
	// sync
	xor.b32 %r7, %r4, 128; add.s32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7];`,
		"// sync", "bar.sync 0;",
	},
	{
		"a copy never waited for", ptxsim.AsyncLeak, trial{threads: 32},
		`	mov.u32 %r5, tile; add.s32 %r6, %r5, %r4;
	cp.async.ca.shared.global [%r6], [%rd4], 4; cp.async.commit_group;
	// wait`,
		"// wait", "cp.async.wait_group 0;",
	},
	{
		"shared memory behind an array", ptxsim.OutOfBounds, trial{threads: 1},
		`	mov.u32 %r5, tile; st.shared.u32 [%r5+4096], %r1;`,
		"4096", "4092",
	},
	{
		"shared memory before an array", ptxsim.OutOfBounds, trial{threads: 1},
		`	mov.u32 %r5, next; st.shared.u32 [%r5+-4], %r1;`,
		"+-4", "+4",
	},
	{
		"a vector over the end of an array", ptxsim.OutOfBounds, trial{threads: 1},
		`	mov.u32 %r5, tile; st.shared.v4.u32 [%r5+4084], {%r1, %r1, %r1, %r1};`,
		"4084", "4080",
	},
	{
		"dynamic shared memory", ptxsim.OutOfBounds, trial{threads: 1, shared: 64},
		`	mov.u32 %r5, dynamic; st.shared.u32 [%r5+64], %r1;`,
		"+64", "+60",
	},
	{
		"global memory behind an allocation", ptxsim.OutOfBounds, trial{threads: 1},
		`	st.global.u32 [%rd1+8192], %r1;`,
		"8192", "8188",
	},
	{
		"global memory before an allocation", ptxsim.OutOfBounds, trial{threads: 1},
		`	ld.global.u32 %r5, [%rd2+-4];`,
		"+-4", "+4",
	},
	{
		"the null pointer", ptxsim.OutOfBounds, trial{threads: 1},
		`	mov.b64 %rd6, 0; ld.global.u32 %r5, [%rd6];`,
		"[%rd6]", "[%rd2]",
	},
	{
		"a copy from behind an allocation", ptxsim.OutOfBounds, trial{threads: 1},
		`	mov.u32 %r5, tile; mov.b32 %r6, 16; cp.async.cg.shared.global [%r5], [%rd2+4096], 16, %r6; cp.async.wait_all;`,
		"mov.b32 %r6, 16", "mov.b32 %r6, 0",
	},
	{
		"misaligned global memory", ptxsim.Misaligned, trial{threads: 1},
		`	st.global.v2.u32 [%rd1+4], {%r1, %r1};`,
		"+4", "+8",
	},
	{
		"misaligned shared memory", ptxsim.Misaligned, trial{threads: 1},
		`	mov.u32 %r5, tile; st.shared.u16 [%r5+1], %rs1;`,
		"+1", "+2",
	},
	{
		"a misaligned copy", ptxsim.Misaligned, trial{threads: 1},
		`	mov.u32 %r5, tile; cp.async.cg.shared.global [%r5], [%rd2+8], 16; cp.async.wait_all;`,
		"+8", "+16",
	},
	{
		"shared memory never written", ptxsim.Uninitialized, trial{threads: 1},
		`	mov.u32 %r5, tile; st.shared.u32 [%r5], %r1; ld.shared.v2.u32 {%r6, %r7}, [%r5];`,
		"ld.shared.v2.u32 {%r6, %r7}", "ld.shared.u32 %r6",
	},
	{
		"shared memory that an earlier block wrote", ptxsim.Uninitialized, trial{threads: 1, grid: 2},
		`	mov.u32 %r5, tile; setp.ne.s32 %p1, %r2, 0; @%p1 bra READ; st.shared.u32 [%r5], %r1; READ: ld.shared.u32 %r6, [%r5];`,
		"@%p1 bra READ; ", "",
	},
	{
		"global memory never written", ptxsim.Uninitialized, trial{threads: 1},
		`	st.global.u32 [%rd1], %r1; ld.global.v2.u32 {%r6, %r7}, [%rd1];`,
		"ld.global.v2.u32 {%r6, %r7}", "ld.global.u32 %r6",
	},
	{
		"a copy of global memory never written", ptxsim.Uninitialized, trial{threads: 1},
		`	mov.u32 %r5, tile; cp.async.ca.shared.global [%r5], [%rd1], 4; cp.async.wait_all;`,
		"[%rd1]", "[%rd2]",
	},
	{
		"local memory never written", ptxsim.Uninitialized, trial{threads: 1},
		`	st.local.u32 [frame], %r1; ld.local.u32 %r6, [frame+4];`,
		"frame+4", "frame",
	},
	{
		"local memory that an earlier block wrote", ptxsim.Uninitialized, trial{threads: 1, grid: 2},
		`	setp.ne.s32 %p1, %r2, 0; @%p1 bra READ; st.local.u32 [frame], %r1; READ: ld.local.u32 %r6, [frame];`,
		"@%p1 bra READ; ", "",
	},
	{
		"two blocks write", ptxsim.GlobalRace, trial{threads: 1, grid: 2},
		`	and.b32 %r5, %r2, 0; cvt.u64.u32 %rd6, %r5; add.s64 %rd7, %rd1, %rd6; st.global.u32 [%rd7], %r1;`,
		"and.b32 %r5, %r2, 0", "shl.b32 %r5, %r2, 2",
	},
	{
		"a block reads what one before it wrote", ptxsim.GlobalRace, trial{threads: 1, grid: 2},
		`	setp.eq.s32 %p1, %r2, 0; @%p1 st.global.u32 [%rd1], %r1; @!%p1 ld.global.u32 %r5, [%rd1];`,
		"@!%p1 ld", "@%p1 ld",
	},
	{
		"a block writes what one before it read", ptxsim.GlobalRace, trial{threads: 1, grid: 2},
		`	setp.eq.s32 %p1, %r2, 0; @%p1 ld.global.u32 %r5, [%rd2]; @!%p1 st.global.u32 [%rd2], %r1;`,
		"[%rd2], %r1", "[%rd1], %r1",
	},
	{
		"a write to what is read as read-only", ptxsim.ReadOnly, trial{threads: 1},
		`	ld.global.nc.u32 %r5, [%rd2]; st.global.u32 [%rd2], %r1;`,
		".nc", "",
	},
	{
		"a read as read-only of what was written", ptxsim.ReadOnly, trial{threads: 1},
		`	st.global.u32 [%rd2], %r1; ld.global.nc.u32 %r5, [%rd2];`,
		".nc", "",
	},
	{
		"a barrier that some threads pass by", ptxsim.Divergence, trial{threads: 32},
		`	setp.lt.s32 %p1, %r1, 7; @%p1 bar.sync 0;`,
		"@%p1 ", "",
	},
	{
		"a barrier on one way", ptxsim.Divergence, trial{threads: 32},
		`	setp.lt.s32 %p1, %r1, 7; @%p1 bra ON; bar.sync 0; ON: bar.sync 0;`,
		"@%p1 bra ON; ", "",
	},
	{
		"a shuffle on one way", ptxsim.Divergence, trial{threads: 32},
		`	setp.lt.s32 %p1, %r1, 7; @%p1 bra ON; shfl.sync.bfly.b32 %r5, %r1, 1, 31, 0xffffffff; ON: add.s32 %r5, %r1, 1;`,
		"@%p1 bra ON; ", "",
	},
	{
		"a shuffle with other members", ptxsim.Divergence, trial{threads: 32},
		`	shfl.sync.bfly.b32 %r5, %r1, 1, 31, 0x0fffffff;`,
		"0x0fffffff", "0xffffffff",
	},
	{
		"a shuffle from a lane that ended", ptxsim.Divergence, trial{threads: 32},
		`	setp.eq.s32 %p1, %r1, 3; @%p1 ret; shfl.sync.bfly.b32 %r5, %r1, 1, 31, 0xffffffff;`,
		"@%p1 ret; ", "",
	},
	{
		"a matrix load by part of a warp", ptxsim.Divergence, trial{threads: 16},
		`	mov.u32 %r5, tile; shl.b32 %r7, %r1, 4; add.s32 %r5, %r5, %r7;
	st.shared.v4.u32 [%r5], {%r1, %r1, %r1, %r1}; bar.sync 0; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r6}, [%r5];`,
		"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r6}", "ld.shared.u32 %r6",
	},
	{
		"copies committed by some threads", ptxsim.Divergence, trial{threads: 32},
		`	setp.lt.s32 %p1, %r1, 7; @%p1 cp.async.commit_group;`,
		"@%p1 ", "",
	},
	{
		"a loop without end", ptxsim.Runaway, trial{threads: 32, options: ptxsim.Options{Steps: 10000}},
		`	mov.u32 %r5, 0; AGAIN: add.s32 %r5, %r5, 1; setp.ne.s32 %p1, %r5, -7; @%p1 bra AGAIN;`,
		"-7", "7",
	},
	{
		"a trap", ptxsim.Trap, trial{threads: 32},
		`	setp.eq.s32 %p1, %r3, 0; @%p1 trap;`,
		"@%p1", "@!%p1",
	},
}

func TestDetectorsFindTheFaultAndNotItsTwin(t *testing.T) {
	const declarations = sharedTile + "\n\t.local .align 8 .b8 frame[16];"
	for _, c := range detectorCases {
		twin := strings.Replace(c.body, c.old, c.new, 1)
		if twin == c.body {
			t.Fatalf("%s: no twin", c.name)
		}
		for _, reverse := range []bool{false, true} {
			for _, early := range []bool{false, true} {
				tr := c.trial
				tr.options.Reverse, tr.options.EarlyCopies = reverse, early
				_, _, err := tr.run(t, sample(declarations, c.body))
				if got := kinds(err); !slices.Contains(got, c.kind) {
					t.Errorf("%s (reverse %v, early %v): %v, want %v", c.name, reverse, early, err, c.kind)
				}
				if _, _, err := tr.run(t, sample(declarations, twin)); err != nil {
					t.Errorf("twin of %s (reverse %v, early %v): %v", c.name, reverse, early, err)
				}
			}
		}
	}
}
