// uses sparse.cuh
// 2:4-sparse linear: y = act(s·(x[:, columns]·wᵀ + bias)) + residual, where w
// has at most 2 of every 4 neighbouring inputs and s is `scale` for the first
// `scaled` outputs and 1 for the others.
//
// x is [count][ldx], residual [count][ldr], y [count][ldy]; bias f32[N],
// columns i32[K]. bias and residual may be null, and so may columns where
// GATHER is 0: x then has K columns. values holds what is kept of w, [outputs
// rounded up to 32][ldv], 32 for each panel of 64 inputs, zero where nothing is.
// meta says at which of the 4 inputs each stands: a word for each lane,
// [strips of 32 outputs][panels][2][32].
//
// Tensor cores take a sparse first operand (mma.sp), so w is that: they give
// outputs by rows of x. Output 4q+2m+h of a strip is row q+8h of instruction m,
// and a thread gets four neighbouring outputs of a row of x. The word of meta of
// a lane has, in its lower half, the positions of row q = lane/4 of an
// instruction, in its upper half those of row q+8, both of inputs 16·(lane%4) to
// the 15th after it. An instruction multiplies 32 inputs and takes the words of
// two lanes of each four: the first two for selector 0, the others for 1. This is
// PTX ISA, "Matrix fragments for sparse mma.m16n8k32 with .f16 and .bf16 types":
// values lie as those of mma.m16n8k16, and x as four of its 8×8 matrices.
//
// A block computes BM rows of x by BN outputs, in four warps of half of each. It
// walks over the panels through STAGES buffers in shared memory. Each output is
// one float32 sum over inputs ascending, by steps of 32.
//
// Grid: x blocks of rows, y blocks of outputs. Constants: DTYPE; BM BN STAGES;
// ACT; R32, OUT32: residual, y are f32; GATHER.

#define THREADS 128
#define WM (BM / 2)  // rows of x in a warp
#define WN (BN / 2)  // and outputs
#define STRIP 32
#define STRIPS (WN / STRIP)
#define EIGHTS (WM / 8)  // of rows of x
#define STRIP_BYTES (STRIP * PANEL)  // half of the inputs, two bytes each
#define META_BYTES 256               // of a strip
#define W_AT PANEL_BYTES
#define META_AT (W_AT + BN / STRIP * STRIP_BYTES)
#define STAGE_BYTES (META_AT + BN / STRIP * META_BYTES)

// Blocks that are to fit on a multiprocessor with their registers.
#if BM * BN >= 128 * 128
#define MIN_BLOCKS 2
#else
#define MIN_BLOCKS 3
#endif

#if DTYPE == 1
#define SPARSE_TYPES "f32.bf16.bf16.f32"
#else
#define SPARSE_TYPES "f32.f16.f16.f32"
#endif

// d += a·b: a is 16×32 with 2 of every 4 kept, b 32×8, d 16×8.
template <int selector>
DEV void multiply_add_sparse(float (&d)[4], const u32 (&a)[4], const u32 (&b)[4], u32 meta) {
  asm volatile("mma.sp.sync.aligned.m16n8k32.row.col." SPARSE_TYPES
               " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, %13;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(meta),
                 "n"(selector));
}

// The address of a piece of 16 bytes of a row of a strip, in bytes. Two rows
// share a line of banks; the exclusive or puts the eight rows that are read at
// one time into different banks.
DEV u32 place_in_strip(u32 row, u32 piece) { return (row * 4 + (piece ^ row / 2 % 4)) * 16; }
// The output of a strip that lies in a row: the rows of an instruction lie together.
DEV u32 output_of_row(u32 row) { return row % 8 * 4 + row / 16 * 2 + row / 8 % 2; }

// Starts the copies of w and meta of a panel, outputs from strip on. What lies
// past the last strip becomes zero.
DEV void copy_weights(u32 stage, const elem* values, const u32* meta, int strip, int strips, int ldv, int panel) {
  // A thread fills its 16 bytes of each strip: neighbours write into different banks.
  const u32 row = threadIdx.x / 4, piece = threadIdx.x % 4 ^ row / 2 % 4;
  const elem* from = values + (u64)(strip * STRIP + output_of_row(row)) * ldv + panel * (PANEL / 2) + piece * 8;
  const u32 at = stage + W_AT + threadIdx.x * 16;
#pragma unroll
  for (int s = 0; s < BN / STRIP; s++)
    copy_async(at + s * STRIP_BYTES, from + (u64)s * STRIP * ldv, strip + s < strips ? 16 : 0);
  constexpr int pieces = META_BYTES / 16;
  if (threadIdx.x < BN / STRIP * pieces) {  // whole warps
    const int s = threadIdx.x / pieces, panels = ldv / (PANEL / 2);
    const u32* words = meta + ((u64)(strip + s) * panels + panel) * (META_BYTES / 4) + threadIdx.x % pieces * 4;
    copy_async(stage + META_AT + threadIdx.x * 16, words, strip + s < strips ? 16 : 0);
  }
}

// Adds inputs 32·selector to 32·selector+31 of a stage. The places are this
// lane's of selector 0.
template <int selector>
DEV void multiply(float (&sums)[STRIPS][2][EIGHTS][4], const u32 (&meta)[STRIPS][2], u32 stage, u32 at_x, u32 at_w) {
  u32 w[STRIPS][2][4];
#pragma unroll
  for (int i = 0; i < STRIPS * 2; i++)
    load_matrices(w[i / 2][i % 2], stage + (at_w ^ selector * 32) + i * 16 * PANEL);
#pragma unroll
  for (int j = 0; j < EIGHTS; j++) {
    u32 x[4];
    load_matrices(x, stage + (at_x ^ selector * 64) + j * 8 * PANEL * 2);
#pragma unroll
    for (int i = 0; i < STRIPS * 2; i++)
      multiply_add_sparse<selector>(sums[i / 2][i % 2][j], w[i / 2][i % 2], x, meta[i / 2][i % 2]);
  }
}

// Finishes the sums of a warp, whose first row and output are given. They go
// through shared memory, each thread's its own, so that a loop can count
// through them: an activation is long, and its code stands here once.
DEV void finish_all(const Results& to, const float (&sums)[STRIPS][2][EIGHTS][4], int row0, int n0) {
  float* own = (float*)shared + threadIdx.x * 4;
  const u32 lane = threadIdx.x % 32;
#pragma unroll
  for (int s = 0; s < STRIPS; s++)
#pragma unroll
    for (int line = 0; line < EIGHTS * 2; line++) {
      const int j = line / 2, e = line % 2;
      const Four f = {sums[s][0][j][e], sums[s][0][j][2 + e], sums[s][1][j][e], sums[s][1][j][2 + e]};
      store_four(own + (s * EIGHTS * 2 + line) * THREADS * 4, f);
    }
#pragma unroll 2
  for (u32 at = 0; at < STRIPS * EIGHTS * 2; at++) {
    const u32 s = at / (EIGHTS * 2), line = at % (EIGHTS * 2);
    const u32 row = row0 + line / 2 * 8 + lane % 4 * 2 + line % 2;
    finish(to, row, n0 + s * STRIP + lane / 4 * 4, load_four(own + at * THREADS * 4));
  }
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const elem* __restrict__ x, const elem* __restrict__ values,
      const u32* __restrict__ meta, const float* __restrict__ bias, const void* __restrict__ residual,
      const int* __restrict__ columns, void* __restrict__ y, int N, int K, int ldx, int ldv, int ldr, int ldy,
      int scaled, float scale) {
  after_previous();
  const Inputs in = {x, columns, *count, ldx, K};
  const int row0 = blockIdx.x * BM, n0 = blockIdx.y * BN, strips = (N + STRIP - 1u) / STRIP;
  if (row0 >= in.count || n0 >= N) return;
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_m = warp / 2 * WM, warp_n = warp % 2 * WN;
  const int panels = (K + PANEL - 1u) / PANEL;
  const u32 stages = shared_address(shared);

  auto fetch = [&](int panel) {
    if (panel < panels) {
      const int at = panel % STAGES * STAGE_BYTES;
      copy_weights(stages + at, values, meta, n0 / STRIP, strips, ldv, panel);
      copy_panel<THREADS>(shared + at, in, row0, panel, 15);
    }
    copy_commit();
  };

  // Of the four matrices that a lane's eight read, w: rows 0-7 and 8-15, then
  // the same of the next piece; x: four pieces of eight rows.
  const u32 at_w = W_AT + warp_n * PANEL + place_in_strip(lane % 16, lane / 16);
  const u32 at_x = place_in_panel(warp_m + lane % 8, lane / 8);
  const u32 at_meta = META_AT + warp_n / STRIP * META_BYTES + lane * 4;

  float sums[STRIPS][2][EIGHTS][4] = {};
#pragma unroll 1
  for (int p = 0; p < STAGES - 1; p++) fetch(p);
  for (int p = 0; p < panels; p++) {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this panel has arrived, and all are done with the one before it
    fetch(p + STAGES - 1);
    const int stage = p % STAGES * STAGE_BYTES;
    u32 positions[STRIPS][2];
#pragma unroll
    for (int i = 0; i < STRIPS * 2; i++)
      positions[i / 2][i % 2] = *(const u32*)(shared + stage + at_meta + i * META_BYTES / 2);
    multiply<0>(sums, positions, stages + stage, at_x, at_w);
    multiply<1>(sums, positions, stages + stage, at_x, at_w);
  }
  start_next();
  __syncthreads();
  finish_all({bias, residual, y, in.count, N, ldr, ldy, scaled, scale}, sums, row0 + warp_m, n0 + warp_n);
}
