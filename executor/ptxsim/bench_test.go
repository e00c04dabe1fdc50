package ptxsim_test

import (
	"testing"

	"etc/executor/ptxsim"
)

// The loop of a product in small: two copies, two matrix loads, four mma and
// the arithmetic around them, by four warps with a barrier.
func BenchmarkProductLoop(b *testing.B) {
	const mma = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%f1, %f2, %f3, %f4};\n"
	text := sample(sharedTile, `
	mov.f32 %f1, 0f00000000; mov.f32 %f2, %f1; mov.f32 %f3, %f1; mov.f32 %f4, %f1;
	mov.u32 %r5, tile; and.b32 %r6, %r1, 127; shl.b32 %r6, %r6, 4; add.s32 %r7, %r5, %r6;
	cvt.u64.u32 %rd6, %r6; add.s64 %rd7, %rd2, %rd6;
	and.b32 %r8, %r1, 31; shl.b32 %r8, %r8, 4; add.s32 %r9, %r5, %r8;
	mov.u32 %r20, 0;
AGAIN:
	cp.async.cg.shared.global [%r7], [%rd7], 16; cp.async.cg.shared.global [%r7+2048], [%rd7+2048], 16; cp.async.wait_all;
	bar.sync 0;
	ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r9];
	ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r14, %r15, %r16, %r17}, [%r9+1024];
	`+mma+mma+mma+mma+`
	shl.b32 %r21, %r20, 3; add.s32 %r21, %r21, %r4; mad.lo.s32 %r22, %r21, 3, %r20; fma.rn.f32 %f5, %f1, %f2, %f3; mul.f32 %f6, %f5, %f4;
	add.s32 %r23, %r22, 1; and.b32 %r24, %r23, 31; setp.lt.s32 %p2, %r24, 7; selp.f32 %f7, %f5, %f6, %p2; add.s64 %rd8, %rd7, 16;
	bar.sync 0;
	add.s32 %r20, %r20, 1; setp.lt.s32 %p1, %r20, 500; @%p1 bra AGAIN;`)
	for _, o := range []struct {
		name string
		ptxsim.Options
	}{{"checked", ptxsim.Options{}}, {"unchecked", ptxsim.Options{Unchecked: true}}} {
		b.Run(o.name, func(b *testing.B) {
			n := int64(0)
			for b.Loop() {
				_, d, err := trial{threads: 128, options: o.Options}.run(b, text)
				if err != nil {
					b.Fatal(err)
				}
				n += d.Counters().WarpInstructions
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Minst/s")
		})
	}
}
