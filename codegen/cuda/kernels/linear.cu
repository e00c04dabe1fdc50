// uses linear_product.cuh
// Linear: y = act(s·(x[:, columns]·wᵀ + bias)) + residual, where s is `scale`
// for the first `scaled` features and 1 for the others.
//
// x is [count][ldx], w [N][ldw], residual [count][ldr], y [count][ldy]; bias
// f32[N], columns i32[K]. bias and residual may be null, and so may columns
// where GATHER is 0: x then has K columns. w's padding is zero; what follows
// the K values of a row of x is never used. Rows of x, w, residual and y, and
// bias, start at multiples of 16 bytes.
//
// Grid: one dimension, row tiles × feature tiles for a capacity of rows; the
// blocks beyond count return. GROUP row tiles walk over the features together,
// so that blocks that run at one time share rows of x and of w in the L2 cache.
//
// Constants: DTYPE; BM BN BK STAGES WM WN; ACT; R32, OUT32: residual, y are
// f32; GATHER.

#define GROUP 8

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

// ---- results ----

// Four floats in one access.
DEV void store_floats(float* p, float a, float b, float c, float d) {
  *(Vec4*)p = Vec4{__float_as_uint(a), __float_as_uint(b), __float_as_uint(c), __float_as_uint(d)};
}

DEV void add_pair(float* v, u32 pair) { v[0] += low(pair), v[1] += high(pair); }

// Adds WIDTH neighbours of a row of f32 or elem, in one access.
DEV void add_vector(float (&v)[WIDTH], const void* p, u64 at) {
#if R32
  float r[WIDTH];
  load_floats(r, 0, (const float*)p + at);
  v[0] += r[0], v[1] += r[1], v[2] += r[2], v[3] += r[3];
#elif WIDTH == 4
  const Vec2 r = *(const Vec2*)((const elem*)p + at);
  add_pair(v, r.x), add_pair(v + 2, r.y);
#else
  const Vec4 r = *(const Vec4*)((const elem*)p + at);
  add_pair(v, r.x), add_pair(v + 2, r.y), add_pair(v + 4, r.z), add_pair(v + 6, r.w);
#endif
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

// Features n to n+WIDTH of a row of which only those below N are there.
DEV void write_cut(const Epilogue& to, int row, int n, float (&v)[WIDTH]) {
  const u64 old = (u64)row * to.ldr + n, at = (u64)row * to.ldy + n;
#pragma unroll
  for (int e = 0; e < WIDTH; e++) {
    if (n + e >= to.N) return;
    if (to.residual) v[e] += load<R32>(to.residual, old + e);
    store<OUT32>(to.y, at + e, v[e]);
  }
}

// Features n to n+WIDTH of a row: all of them are there (whole) or only some.
template <bool whole> DEV void write(const Epilogue& to, int row, int n, const float (&sums)[WIDTH], const float (&bias)[WIDTH]) {
  float v[WIDTH];
#pragma unroll
  for (int e = 0; e < WIDTH; e++) v[e] = activate((sums[e] + bias[e]) * (n + e < to.scaled ? to.scale : 1.0f));
  if constexpr (!whole)
    if (n + WIDTH > to.N) return write_cut(to, row, n, v);
  if (to.residual) add_vector(v, to.residual, (u64)row * to.ldr + n);
  store_vector(v, to.y, (u64)row * to.ldy + n);
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
#if ACT == ACT_NONE || ACT == ACT_GELU || ACT == ACT_RELU
  if (n0 + WN <= to.N) {
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
      load_bias(bias, to.bias, n + group * 4 * WIDTH, to.N);
#pragma unroll
      for (int i = 0; i < LINES; i++) {
        pick(v, sums, group, i);
        if (row + i * 8 < count) write<true>(to, row + i * 8, n + group * 4 * WIDTH, v, bias);
      }
    }
    return;
  }
#endif
  // A hyperbolic tangent is long, and so is the edge: one copy of that code, with
  // the sums of each thread in shared memory, where a loop can count through them.
  // Every warp is past its last product's operands, so the stages are free.
  float* own = (float*)shared + threadIdx.x * 4;
#pragma unroll
  for (int at = 0; at < GROUPS * LINES; at++) {
    pick(v, sums, at / LINES, at % LINES);
#pragma unroll
    for (int e = 0; e < WIDTH; e += 4) store_floats(own + (at * WIDTH + e) * THREADS, v[e], v[e + 1], v[e + 2], v[e + 3]);
  }
#pragma unroll 1
  for (int group = 0; group < GROUPS; group++) {
    load_bias(bias, to.bias, n + group * 4 * WIDTH, to.N);
#pragma unroll 1
    for (int i = 0; i < LINES; i++) {
#pragma unroll
      for (int e = 0; e < WIDTH; e += 4) load_floats(v, e, own + ((group * LINES + i) * WIDTH + e) * THREADS);
      if (row + i * 8 < count) write<false>(to, row + i * 8, n + group * 4 * WIDTH, v, bias);
    }
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
  const int warp = threadIdx.x / 32, warp_m = warp / WARPS_N * WM, warp_n = warp % WARPS_N * WN;
  const int stages = (K + BK - 1) / BK;

  auto fetch_w = [&](int stage) {
    if (stage < stages)
      copy_tile<BN, WIDTH>(shared_address(shared) + stage % STAGES * STAGE_BYTES + W_BYTES, w, n0, N, ldw, stage * BK, K);
  };
  auto fetch = [&](int stage) {
    if (stage >= stages) return;
    u8* to = shared + stage % STAGES * STAGE_BYTES;
#if GATHER
    gather_tile(to, x, columns, row0, rows, ldx, stage * BK, K);
#else
    copy_tile<BM, 2>(shared_address(to), x, row0, rows, ldx, stage * BK, K);
#endif
    if (stage >= STAGES - 1) fetch_w(stage);
  };
#pragma unroll 1
  for (int s = 0; s < STAGES - 1; s++) fetch_w(s);
  after_previous();
  float sums[TILES_M][TILES_N][4] = {};
  run_stages(sums, warp_m, warp_n, stages, fetch, [](int) {});
  start_next();
  write_tile({bias, residual, y, N, ldr, ldy, scaled, scale}, sums, row0 + warp_m, n0 + warp_n, rows);
}
