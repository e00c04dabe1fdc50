// Rows of values, a warp to each: what embeddings and norms share, and in part
// pools, where a row of the batch is the work of a block.
//
// A lane takes pieces of four neighbouring columns, 32 pieces apart, so that a
// warp reads and writes whole sectors whether a value has two bytes or four.
// The last piece of a row may be cut: it goes value by value, for what lies
// behind a row's width belongs to nobody.

#define THREADS 128
#define WARPS (THREADS / 32)
#define MIN_BLOCKS 4  // of a multiprocessor: 128 registers a thread
#define PIECE 4
#define SPAN (32 * PIECE)  // columns of a warp at a time
#define KEPT 8             // pieces that a lane keeps: rows of up to 1024 columns are read once

// The row of this warp, and the first column of this lane.
DEV int own_row() { return blockIdx.x * WARPS + threadIdx.x / 32; }
DEV int first_column() { return threadIdx.x % 32 * PIECE; }
// The column of the k-th piece that it keeps.
DEV int kept_column(int k) { return first_column() + k * SPAN; }

// Calls use(c) for each piece of this lane from column `from` on, a multiple of
// SPAN. All lanes count alike: where some went round once more, the compiler
// would have them do that first, and lanes beside each other would be at
// columns far from each other.
template <class Use> DEV void each_column(int from, int H, Use use) {
  for (; from < H; from += SPAN)
    if (from + first_column() < H) use(from + first_column());
}

struct Piece { float v[PIECE]; };

// The bits of a piece: four floats, or four elements.
template <bool wide> struct Bits { Vec2 is; };
template <> struct Bits<true> { Vec4 is; };

DEV Piece values(Bits<true> b) {
  return {__uint_as_float(b.is.x), __uint_as_float(b.is.y), __uint_as_float(b.is.z), __uint_as_float(b.is.w)};
}
DEV Piece values(Bits<false> b) { return {low(b.is.x), high(b.is.x), low(b.is.y), high(b.is.y)}; }

// The bits of the whole piece at column c of a row.
template <bool wide> DEV Bits<wide> load_bits(const void* row, int c) { return *(const Bits<wide>*)((const u8*)row + c * (wide ? 4 : 2)); }

// Four columns of a row from column c on, which is less than H; zeros past H.
template <bool wide> DEV Piece load_piece(const void* row, int c, int H) {
  if (c + PIECE <= H) return values(load_bits<wide>(row, c));
  Piece p;
#pragma unroll
  for (int i = 0; i < PIECE; i++) p.v[i] = c + i < H ? load<wide>(row, c + i) : 0.0f;
  return p;
}

template <bool wide> DEV void store_piece(void* row, int c, int H, const Piece& p) {
  if (c + PIECE > H) {
#pragma unroll
    for (int i = 0; i < PIECE; i++)
      if (c + i < H) store<wide>(row, c + i, p.v[i]);
  } else if (wide) {
    *(Vec4*)((float*)row + c) = {__float_as_uint(p.v[0]), __float_as_uint(p.v[1]), __float_as_uint(p.v[2]), __float_as_uint(p.v[3])};
  } else {
    *(Vec2*)((elem*)row + c) = {pack(p.v[0], p.v[1]), pack(p.v[2], p.v[3])};
  }
}

DEV void add(Piece& p, const Piece& q) {
#pragma unroll
  for (int i = 0; i < PIECE; i++) p.v[i] += q.v[i];
}

// What a lane keeps of a row.
typedef Piece Kept[KEPT];

// Reads what is kept of a row, in two steps: all whole pieces are asked for
// before any is waited for, here and of other rows; then a piece that is cut.
template <bool wide> struct Reading {
  const void* row;
  Bits<wide> bits[KEPT];

  __device__ __forceinline__ void ask(const void* from, int H) {
    row = from;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      bits[k] = {};
      if (kept_column(k) + PIECE <= H) bits[k] = load_bits<wide>(row, kept_column(k));
    }
  }
  __device__ __forceinline__ void take(Kept& kept, int H) const {
#pragma unroll
    for (int k = 0; k < KEPT; k++) kept[k] = values(bits[k]);
    if (H % PIECE == 0) return;
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (kept_column(k) < H && kept_column(k) + PIECE > H) kept[k] = load_piece<wide>(row, kept_column(k), H);
  }
};

// Row i of a matrix with rows of ld values.
template <bool wide> DEV const void* row_of(const void* p, int i, int ld) { return (const u8*)p + (u64)i * ld * (wide ? 4 : 2); }
template <bool wide> DEV void* row_of(void* p, int i, int ld) { return (u8*)p + (u64)i * ld * (wide ? 4 : 2); }

// Sums term(value) over the columns of a row whose pieces piece(c) gives; those
// kept are in `kept`. What a lane adds lies in ascending columns. All lanes
// have the same bits.
template <class Source, class Term> DEV float row_sum(const Kept& kept, int H, Source piece, Term term) {
  float sum = 0.0f;
  auto take = [&](const Piece& p, int c) {
#pragma unroll
    for (int i = 0; i < PIECE; i++)
      if (c + i < H) sum += term(p.v[i]);
  };
#pragma unroll
  for (int k = 0; k < KEPT; k++) take(kept[k], kept_column(k));
  each_column(KEPT * SPAN, H, [&](int c) { take(piece(c), c); });
  return warp_sum(sum);
}

// Calls use(c, piece) for each piece of this lane.
template <class Source, class Use> DEV void each_piece(const Kept& kept, int H, Source piece, Use use) {
#pragma unroll
  for (int k = 0; k < KEPT; k++)
    if (kept_column(k) < H) use(kept_column(k), kept[k]);
  each_column(KEPT * SPAN, H, [&](int c) { use(c, piece(c)); });
}

// Layer norm: gamma·(x − mean)/√(variance + eps) + beta. The variance is the
// mean of squared distances from the mean, which has been found first: where
// values lie far from zero and close together, the difference of two large
// sums of squares would be noise.
template <bool wide, class Source>
DEV void normalize_row(void* y, const Kept& kept, int H, Source piece, const float* gamma, const float* beta, float eps) {
  Reading<true> read_gamma, read_beta;
  read_gamma.ask(gamma, H), read_beta.ask(beta, H);
  const float share = __fdividef(1.0f, H);
  const float mean = row_sum(kept, H, piece, [](float v) { return v; }) * share;
  const float variance = row_sum(kept, H, piece, [&](float v) { return (v - mean) * (v - mean); }) * share;
  const float factor = rsqrtf(variance + eps);
  auto write = [&](int c, const Piece& p, const Piece& g, const Piece& b) {
    Piece out;
#pragma unroll
    for (int i = 0; i < PIECE; i++) out.v[i] = (p.v[i] - mean) * factor * g.v[i] + b.v[i];
    store_piece<wide>(y, c, H, out);
  };
  Kept g, b;
  read_gamma.take(g, H), read_beta.take(b, H);
#pragma unroll
  for (int k = 0; k < KEPT; k++)
    if (kept_column(k) < H) write(kept_column(k), kept[k], g[k], b[k]);
  each_column(KEPT * SPAN, H, [&](int c) { write(c, piece(c), load_piece<true>(gamma, c, H), load_piece<true>(beta, c, H)); });
}
