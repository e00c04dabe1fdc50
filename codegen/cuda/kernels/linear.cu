// Linear: y = act(s·(x[:, columns]·wᵀ + bias)) + residual, where s is `scale`
// for the first `scaled` features and 1 for the others.
//
// x is [count][ldx], w [N][ldw], residual [count][ldr], y [count][ldy]; bias
// f32[N], columns i32[K]. bias and residual may be null, and so may columns
// where GATHER is 0: x then has K columns. w's padding is zero; what follows
// the K values of a row of x is never used. Rows of x, w, residual and y, and
// bias, start at multiples of 16 bytes.
//
// A block computes a tile of BM rows and BN features, a warp WM×WN of it. K is
// walked in steps of BK through STAGES buffers in shared memory: while the
// tensor cores multiply one, the next are being copied. Each value is one
// float32 sum over ascending k in steps of 16, whatever the tile, so every
// shape gives the same bits.
//
// Grid: one dimension, row tiles × feature tiles for a capacity of rows; the
// blocks beyond count return. GROUP row tiles walk over the features together,
// so that blocks that run at one time share rows of x and of w in the L2 cache.
//
// Constants: DTYPE; BM BN BK STAGES WM WN; ACT; R32, OUT32: residual, y are
// f32; GATHER.

#define WARPS_N (BN / WN)
#define THREADS (BM / WM * WARPS_N * 32)
#define TILES_M (WM / 16)  // products of the tensor cores in a warp's rows
#define TILES_N (WN / 8)   // and in its features
#define STEPS (BK / 16)    // and in a stage
#define CHUNKS (BK / 8)    // pieces of 16 bytes in one row of a stage
#define STAGE_BYTES ((BM + BN) * BK * 2)
#define W_BYTES (BM * BK * 2)  // where w starts in a stage, after x
#define GROUP 8

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
#if WM * WN >= 4096
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
    copy_async(to + place<every>(row0 + i, c), corner + (i * ld + k), first + row0 + i < limit ? bytes : 0);
}

#if GATHER
// Fills x of a stage element by element: column k+c of the tile is column
// columns[k+c] of x. Threads that stand beside each other take neighbouring c.
DEV void gather_tile(u8* to, const elem* x, const int* columns, int first, int limit, int ld, int k, int K) {
  constexpr int down = THREADS > BK ? THREADS / BK : 1;
#pragma unroll 1
  for (int c = threadIdx.x % BK; c < BK; c += THREADS) {
    const int column = k + c < K ? columns[k + c] : 0;
#pragma unroll 4
    for (int i = 0; i < BM; i += down) {
      const int row = i + threadIdx.x / BK;
      elem e = 0;
      if (k + c < K && first + row < limit) e = x[(u64)(first + row) * ld + column];
      ((elem*)(to + place<2>(row, c / 8)))[c % 8] = e;
    }
  }
}
#endif

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

// ---- results ----

// Four floats in one access, at v[e].
DEV void load_floats(float (&v)[WIDTH], int e, const float* p) {
  const Vec4 bits = *(const Vec4*)p;
  v[e] = __uint_as_float(bits.x), v[e + 1] = __uint_as_float(bits.y);
  v[e + 2] = __uint_as_float(bits.z), v[e + 3] = __uint_as_float(bits.w);
}
DEV void store_floats(float* p, float a, float b, float c, float d) {
  *(Vec4*)p = Vec4{__float_as_uint(a), __float_as_uint(b), __float_as_uint(c), __float_as_uint(d)};
}

// Adds WIDTH neighbours of a row of f32 (wide) or elem.
template <bool wide> DEV void add_vector(float (&v)[WIDTH], const void* p, u64 at) {
#pragma unroll
  for (int e = 0; e < WIDTH; e += 4) {
    if (wide) {
      float r[WIDTH];
      load_floats(r, e, (const float*)p + at + e);
      v[e] += r[e], v[e + 1] += r[e + 1], v[e + 2] += r[e + 2], v[e + 3] += r[e + 3];
    } else {
      const Vec2 r = *(const Vec2*)((const elem*)p + at + e);
      v[e] += low(r.x), v[e + 1] += high(r.x), v[e + 2] += low(r.y), v[e + 3] += high(r.y);
    }
  }
}

DEV void store_vector(const float (&v)[WIDTH], void* y, u64 at) {
#if OUT32
  store_floats((float*)y + at, v[0], v[1], v[2], v[3]);
#elif WIDTH == 4
  *(Vec2*)((elem*)y + at) = Vec2{pack(v[0], v[1]), pack(v[2], v[3])};
#else
  *(Vec4*)((elem*)y + at) = Vec4{pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7])};
#endif
}

// What follows the product.
struct Epilogue {
  const float* bias;
  const void* residual;
  void* y;
  int N, ldr, ldy, scaled;
  float scale;
};

DEV void load_bias(const Epilogue& to, float (&bias)[WIDTH], int n) {
#pragma unroll
  for (int e = 0; e < WIDTH; e++) bias[e] = 0.0f;
  if (!to.bias) return;
  if (n + WIDTH <= to.N) {
#pragma unroll
    for (int e = 0; e < WIDTH; e += 4) load_floats(bias, e, to.bias + n + e);
    return;
  }
#pragma unroll
  for (int e = 0; e < WIDTH; e++)
    if (n + e < to.N) bias[e] = to.bias[n + e];
}

// Features n to n+WIDTH of a row. Those below N are there: all of them (whole)
// or only some.
template <bool whole> DEV void write(const Epilogue& to, int row, int n, const float (&sums)[WIDTH], const float (&bias)[WIDTH]) {
  const u64 old = (u64)row * to.ldr + n, at = (u64)row * to.ldy + n;
  float v[WIDTH];
#pragma unroll
  for (int e = 0; e < WIDTH; e++) v[e] = activate((sums[e] + bias[e]) * (n + e < to.scaled ? to.scale : 1.0f));
  if (whole || n + WIDTH <= to.N) {
    if (to.residual) add_vector<R32>(v, to.residual, old);
    return store_vector(v, to.y, at);
  }
#pragma unroll
  for (int e = 0; e < WIDTH; e++) {
    if (n + e >= to.N) return;
    if (to.residual) v[e] += load<R32>(to.residual, old + e);
    store<OUT32>(to.y, at + e, v[e]);
  }
}

// Vector number `group` of a lane's line i, out of the sums of its warp.
DEV void pick(float (&v)[WIDTH], const float (&sums)[TILES_M][TILES_N][4], int group, int i) {
#pragma unroll
  for (int e = 0; e < WIDTH; e++) v[e] = sums[i / 2][group * PAIRS + e / 2][i % 2 * 2 + e % 2];
}

// Writes a warp's tile, whose first row and feature are given.
DEV void write_tile(const Epilogue& to, const float (&sums)[TILES_M][TILES_N][4], int row0, int n0, int count) {
  const int row = row0 + threadIdx.x % 32 / 4, n = n0 + threadIdx.x % 4 * WIDTH;
  float v[WIDTH], bias[WIDTH];
#if ACT == ACT_NONE
  if (n0 + WN <= to.N) {
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
      load_bias(to, bias, n + group * 4 * WIDTH);
#pragma unroll
      for (int i = 0; i < LINES; i++) {
        pick(v, sums, group, i);
        if (row + i * 8 < count) write<true>(to, row + i * 8, n + group * 4 * WIDTH, v, bias);
      }
    }
    return;
  }
#endif
  // An activation is long, and so is the edge: one copy of that code, with the
  // sums of each thread in shared memory, where a loop can count through them.
  // Every warp is past its last product's operands, so the stages are free.
  float* own = (float*)shared + threadIdx.x * 4;
#pragma unroll
  for (int at = 0; at < GROUPS * LINES; at++) {
    pick(v, sums, at / LINES, at % LINES);
#pragma unroll
    for (int e = 0; e < WIDTH; e += 4) store_floats(own + (at * WIDTH + e) * THREADS, v[e], v[e + 1], v[e + 2], v[e + 3]);
  }
#pragma unroll 1
  for (int at = 0; at < GROUPS * LINES; at++) {
    const int i = at % LINES, group = at / LINES;
#pragma unroll
    for (int e = 0; e < WIDTH; e += 4) load_floats(v, e, own + (at * WIDTH + e) * THREADS);
    load_bias(to, bias, n + group * 4 * WIDTH);
    if (row + i * 8 < count) write<false>(to, row + i * 8, n + group * 4 * WIDTH, v, bias);
  }
}

// ---- the kernel ----

// The tile of a block: its first row and feature.
DEV bool find_tile(int rows, int N, int& row0, int& n0) {
  const int tiles_m = (rows + BM - 1) / BM, tiles_n = (N + BN - 1) / BN;
  const int block = blockIdx.x, group = block / (GROUP * tiles_n), in_group = block % (GROUP * tiles_n);
  const int first = group * GROUP, high = min(GROUP, tiles_m - first);
  if (high <= 0 || in_group >= high * tiles_n) return false;
  row0 = (first + in_group % high) * BM;
  n0 = in_group / high * BN;
  return true;
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const elem* __restrict__ x, const elem* __restrict__ w,
      const float* __restrict__ bias, const void* __restrict__ residual, const int* __restrict__ columns,
      void* __restrict__ y, int N, int K, int ldx, int ldw, int ldr, int ldy, int scaled, float scale) {
  const int rows = *count;
  int row0, n0;
  if (!find_tile(rows, N, row0, n0)) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_m = warp / WARPS_N * WM, warp_n = warp % WARPS_N * WN;
  const u32 stages = shared_address(shared);
  const int last = (K + BK - 1) / BK;  // stages in all

  auto fetch = [&](int stage) {
    if (stage < last) {
      const u32 to = stages + stage % STAGES * STAGE_BYTES;
#if GATHER
      gather_tile(shared + stage % STAGES * STAGE_BYTES, x, columns, row0, rows, ldx, stage * BK, K);
#else
      copy_tile<BM, 2>(to, x, row0, rows, ldx, stage * BK, K);
#endif
      copy_tile<BN, WIDTH>(to + W_BYTES, w, n0, N, ldw, stage * BK, K);
    }
    copy_commit();
  };

  // Of the four matrices that a lane's eight read, x: rows 0-7 and 8-15, then
  // the same of the next piece; w: both pieces of product j, then of j+1.
  const int at_x = place<2>(warp_m + lane % 16, lane / 16);
  const int at_w =
      W_BYTES + place<WIDTH>(warp_n + lane % 8 / 2 * WIDTH + lane % 2 + lane / 16 * 2, lane / 8 % 2);

  float sums[TILES_M][TILES_N][4] = {};
  Fragments f[2];
#pragma unroll 1
  for (int s = 0; s < STAGES - 1; s++) fetch(s);
  copy_wait<STAGES - 2>();
  __syncthreads();
  load_step(f[0], stages, at_x, at_w, 0);

  for (int s = 0; s < last; s++) {
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      if (step + 1 < STEPS) {
        load_step(f[(step + 1) % 2], stages + s % STAGES * STAGE_BYTES, at_x, at_w, step + 1);
      } else {
        // All of this stage is read and the next has arrived.
        copy_wait<STAGES - 2>();
        __syncthreads();
        if (s + 1 < last) load_step(f[0], stages + (s + 1) % STAGES * STAGE_BYTES, at_x, at_w, 0);
      }
      if (step == 0) fetch(s + STAGES - 1);
      multiply(sums, f[step % 2]);
    }
  }
  write_tile({bias, residual, y, N, ldr, ldy, scaled, scale}, sums, row0 + warp_m, n0 + warp_n, rows);
}
