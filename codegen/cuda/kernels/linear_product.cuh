// A product x·wᵀ of a tile on tensor cores, for the families that are written
// over it: BM rows of x by BN features of w, a warp WM×WN of them.
//
// K is walked in steps of BK through STAGES buffers in shared memory: while the
// tensor cores multiply one, the next are being copied. Each value is one
// float32 sum over ascending k in steps of 16, whatever the tile, so every
// shape gives the same bits.
//
// Constants: DTYPE; BM BN BK STAGES WM WN; R32 and OUT32 where a family has them.

#define WARPS_N (BN / WN)
#define THREADS (BM / WM * WARPS_N * 32)
#define TILES_M (WM / 16)  // products of the tensor cores in a warp's rows
#define TILES_N (WN / 8)   // and in its features
#define STEPS (BK / 16)    // and in a stage
#define CHUNKS (BK / 8)    // pieces of 16 bytes in one row of a stage
#define STAGE_BYTES ((BM + BN) * BK * 2)
#define W_BYTES (BM * BK * 2)  // where w starts in a stage, after x

// Neighbouring features that a thread holds of a row: 16 bytes of the wider
// of residual and y, so that the four threads of a row move whole sectors.
#if R32 || OUT32
#define WIDTH 4
#else
#define WIDTH 8
#endif
// A tensor core gives a thread two neighbouring features of 8. So the features
// of PAIRS products are dealt out anew: product j of a group of 4·WIDTH
// features takes those two of every WIDTH that start at 2j.
#define PAIRS (WIDTH / 2)
#define GROUPS (TILES_N / PAIRS)  // groups of features in a warp
#define LINES (WM / 8)            // rows that a thread has a part of

// Blocks that are to fit on a multiprocessor with their registers.
#if BM * BN > 128 * 128
#define MIN_BLOCKS 1  // of 8 warps and more
#elif WM * WN >= 4096
#define MIN_BLOCKS 2
#elif THREADS >= 128
#define MIN_BLOCKS 3
#else
#define MIN_BLOCKS 4
#endif

// The address of piece c of a row of a stage, in bytes. A tensor core's 8×8
// matrix is read from 8 rows at one time: of x neighbours, of w two of every
// WIDTH. The exclusive or puts those into different banks; 64-byte rows share
// a line of banks by two.
template <int every> DEV int place(int row, int c) {
#if BK == 32
  const int turn = row / every & 3;
#else
  const int turn = row & 1 | (row / every & 3) << 1;
#endif
  return (row * CHUNKS + (c ^ turn)) * 16;
}

// Starts the copies of a stage: rows first to first+rows of a matrix of limit
// rows, columns k to k+BK of K. What lies outside becomes zero.
template <int rows, int every>
DEV void copy_tile(u32 to, const elem* from, int first, int limit, int ld, int k, int K) {
  const int row0 = threadIdx.x / CHUNKS, c = threadIdx.x % CHUNKS;
  const elem* corner = from + (u64)(first + row0) * ld + c * 8;
  const int bytes = max(0, min(16, (K - k - c * 8) * 2));
#pragma unroll
  for (int i = 0; i < rows; i += THREADS / CHUNKS)
    if (rows % (THREADS / CHUNKS) == 0 || row0 + i < rows)
      copy_async(to + place<every>(row0 + i, c), corner + (i * ld + k), first + row0 + i < limit ? bytes : 0);
}

// What a warp multiplies in one step of 16: its rows of x and features of w.
struct Fragments { u32 x[TILES_M][4], w[TILES_N / 2][4]; };

// Reads step `step` of a stage; at_x and at_w are this lane's places in step 0.
DEV void load_step(Fragments& f, u32 stage, int at_x, int at_w, int step) {
#pragma unroll
  for (int i = 0; i < TILES_M; i++) load_matrices(f.x[i], stage + (at_x ^ step * 32) + i * 16 * CHUNKS * 16);
#pragma unroll
  for (int j = 0; j < TILES_N / 2; j++) {
    const int row = j * 2 / PAIRS * 4 * WIDTH + j * 2 % PAIRS * 2;
    load_matrices(f.w[j], stage + (at_w ^ step * 32) + row * CHUNKS * 16);
  }
}

DEV void multiply(float (&sums)[TILES_M][TILES_N][4], const Fragments& f) {
#pragma unroll
  for (int i = 0; i < TILES_M; i++)
#pragma unroll
    for (int j = 0; j < TILES_N; j++) multiply_add(sums[i][j], f.x[i], f.w[j / 2][j % 2 * 2], f.w[j / 2][j % 2 * 2 + 1]);
}

// Multiplies `count` stages one after another. fetch(s) starts the copies of
// stage s; it is told of stages beyond the last, and has nothing to do there.
// done(s) follows the products of stage s.
template <class Fetch, class Done>
DEV void run_stages(float (&sums)[TILES_M][TILES_N][4], int warp_m, int warp_n, int count, Fetch fetch, Done done) {
  const int lane = threadIdx.x % 32;
  const u32 stages = shared_address(shared);
  // Eight lanes give the rows of one matrix. Of the four matrices of a read,
  // x: rows 0-7 and 8-15, then the same of the next piece; w: both pieces of
  // product j, then of j+1.
  const int at_x = place<2>(warp_m + lane % 16, lane / 16);
  const int at_w = W_BYTES + place<WIDTH>(warp_n + lane % 8 / 2 * WIDTH + lane % 2 + lane / 16 * 2, lane / 8 % 2);
  Fragments f[2];
#pragma unroll 1
  for (int s = 0; s < STAGES - 1; s++) {
    fetch(s);
    copy_commit();
  }
  copy_wait<STAGES - 2>();
  __syncthreads();
  load_step(f[0], stages, at_x, at_w, 0);

#pragma unroll 1
  for (int s = 0; s < count; s++) {
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      if (step + 1 < STEPS) {
        load_step(f[(step + 1) % 2], stages + s % STAGES * STAGE_BYTES, at_x, at_w, step + 1);
      } else {
        // This stage is read to its end by this warp; behind the barrier by
        // all, and the next stage is there.
        copy_wait<STAGES - 2>();
        __syncthreads();
        if (s + 1 < count) load_step(f[0], stages + (s + 1) % STAGES * STAGE_BYTES, at_x, at_w, 0);
      }
      if (step == 0) {
        fetch(s + STAGES - 1);
        copy_commit();
      }
      multiply(sums, f[step % 2]);
    }
    done(s);
  }
}

// Four floats in one access, at v[e].
DEV void load_floats(float (&v)[WIDTH], int e, const float* p) {
  const Vec4 bits = *(const Vec4*)p;
  v[e] = __uint_as_float(bits.x), v[e + 1] = __uint_as_float(bits.y);
  v[e + 2] = __uint_as_float(bits.z), v[e + 3] = __uint_as_float(bits.w);
}

// The biases of features n to n+WIDTH of N, zeros where there are none.
DEV void load_bias(float (&v)[WIDTH], const float* bias, int n, int N) {
#pragma unroll
  for (int e = 0; e < WIDTH; e++) v[e] = 0.0f;
  if (!bias) return;
  if (n + WIDTH <= N) {
#pragma unroll
    for (int e = 0; e < WIDTH; e += 4) load_floats(v, e, bias + n + e);
    return;
  }
#pragma unroll
  for (int e = 0; e < WIDTH; e++)
    if (n + e < N) v[e] = bias[n + e];
}
