// What products with sparse weights share: x in shared memory by panels of 64
// inputs, and what follows a product.

// ---- x ----

// A panel is 64 neighbouring inputs of BM rows of x, in shared memory: 128
// bytes a row, in eight pieces of 16 bytes. A tensor core's 8×8 matrix is read
// from the same piece of 8 rows at one time; the exclusive or puts those into
// different banks.
#define PANEL 64
#define PANEL_PIECES (PANEL / 8)
#define PANEL_BYTES (BM * PANEL * 2)
DEV u32 place_in_panel(u32 row, u32 piece) { return (row * PANEL_PIECES + (piece ^ row % 8)) * 16; }

// x [count][ld] of K inputs; with GATHER, input k stands in column columns[k].
struct Inputs {
  const elem* x;
  const int* columns;
  int count, ld, K;
};

// Starts the copies of a panel: rows row0 to row0+BM. What lies outside x
// becomes zero, and so do each 16 inputs whose bit of `needed` is not set: they
// are not read. threads is the number of threads in the block.
template <int threads> DEV void copy_panel(u8* to, const Inputs& in, int row0, int panel, u32 needed) {
  const int k0 = panel * PANEL;
#if GATHER
  // Element by element: threads beside each other take neighbouring inputs.
  constexpr int down = threads > PANEL ? threads / PANEL : 1;
#pragma unroll 1
  for (u32 c = threadIdx.x % PANEL; c < PANEL; c += threads) {
    const bool used = k0 + (int)c < in.K && needed >> c / 16 & 1;
    const int column = used ? in.columns[k0 + c] : 0;
#pragma unroll 4
    for (int i = 0; i < BM; i += down) {
      const int row = i + threadIdx.x / PANEL;
      elem e = 0;
      if (used && row0 + row < in.count) e = in.x[(u64)(row0 + row) * in.ld + column];
      ((elem*)(to + place_in_panel(row, c / 8)))[c % 8] = e;
    }
  }
#else
  const u32 row = threadIdx.x / PANEL_PIECES, piece = threadIdx.x % PANEL_PIECES;
  const int left = min(16, (in.K - k0 - (int)piece * 8) * 2);
  const int bytes = needed >> piece / 2 & 1 ? max(0, left) : 0;
  const elem* from = in.x + (u64)(row0 + row) * in.ld + k0 + piece * 8;
  const u32 at = shared_address(to);
#pragma unroll
  for (int i = 0; i < BM; i += threads / PANEL_PIECES)
    copy_async(at + place_in_panel(row + i, piece), from + (u64)i * in.ld, row0 + (int)row + i < in.count ? bytes : 0);
#endif
}

// ---- results ----

// y = act(s·(sum + bias)) + residual, with s = scale for outputs below scaled
// and 1 for the others. bias and residual may be null.
struct Results {
  const float* bias;
  const void* residual;
  void* y;
  int count, N, ldr, ldy, scaled;
  float scale;
};

struct Four { float v[4]; };

DEV Four load_four(const float* p) {
  const Vec4 f = *(const Vec4*)p;
  return {__uint_as_float(f.x), __uint_as_float(f.y), __uint_as_float(f.z), __uint_as_float(f.w)};
}
DEV void store_four(float* p, const Four& f) {
  *(Vec4*)p = Vec4{__float_as_uint(f.v[0]), __float_as_uint(f.v[1]), __float_as_uint(f.v[2]), __float_as_uint(f.v[3])};
}

// Finishes outputs n to n+3 of a row, and stores those that there are.
DEV void finish(const Results& to, int row, int n, const Four& sums) {
  if (row >= to.count || n >= to.N) return;
  const u64 old = (u64)row * to.ldr + n, at = (u64)row * to.ldy + n;
  const bool whole = n + 4 <= to.N;
  Four f = sums;
  if (to.bias) {
    if (whole) {
      const Four b = load_four(to.bias + n);
#pragma unroll
      for (int e = 0; e < 4; e++) f.v[e] += b.v[e];
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++)
        if (n + e < to.N) f.v[e] += to.bias[n + e];
    }
  }
#pragma unroll
  for (int e = 0; e < 4; e++) f.v[e] = activate(n + e < to.scaled ? f.v[e] * to.scale : f.v[e]);
  if (!whole) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      if (n + e >= to.N) return;
      if (to.residual) f.v[e] += load<R32>(to.residual, old + e);
      store<OUT32>(to.y, at + e, f.v[e]);
    }
    return;
  }
  if (to.residual) {
#if R32
    const Four r = load_four((const float*)to.residual + old);
#else
    const Vec2 bits = *(const Vec2*)((const elem*)to.residual + old);
    const Four r = {low(bits.x), high(bits.x), low(bits.y), high(bits.y)};
#endif
#pragma unroll
    for (int e = 0; e < 4; e++) f.v[e] += r.v[e];
  }
#if OUT32
  store_four((float*)to.y + at, f);
#else
  *(Vec2*)((elem*)to.y + at) = Vec2{pack(f.v[0], f.v[1]), pack(f.v[2], f.v[3])};
#endif
}
