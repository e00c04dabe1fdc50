// Rows of values, a warp to each: what embeddings and norms share, and in part
// pools, where a row of the batch is the work of a block.
//
// A lane takes pieces of four neighbouring columns, 32 pieces apart, so that a
// warp reads and writes whole sectors whether a value has two bytes or four.
// The last piece of a row may be cut: it goes value by value, for what lies
// behind a row's width belongs to nobody.

#define THREADS 128
#define WARPS (THREADS / 32)
#define MIN_BLOCKS 6  // of a multiprocessor: 80 registers a thread
#define PIECE 4
#define SPAN (32 * PIECE)  // columns of a warp at a time
#define KEPT 8             // pieces that a lane keeps: rows of up to 1024 columns are read once

// The row of this warp, and the first column of this lane.
DEV int own_row() { return blockIdx.x * WARPS + threadIdx.x / 32; }
DEV int first_column() { return threadIdx.x % 32 * PIECE; }

// Calls use(c) for each piece of this lane from column `from` on, a multiple of
// SPAN. All lanes count alike: where some went round once more, the compiler
// would have them do that first, and lanes beside each other would be at
// columns far from each other.
template <class Use> DEV void each_column(int from, int H, Use use) {
  for (; from < H; from += SPAN)
    if (from + first_column() < H) use(from + first_column());
}

struct Piece { float v[PIECE]; };

// Four columns of a row from column c on, which is less than H; zeros past H.
template <bool wide> DEV Piece load_piece(const void* row, int c, int H) {
  Piece p;
  if (c + PIECE > H) {
#pragma unroll
    for (int i = 0; i < PIECE; i++) p.v[i] = c + i < H ? load<wide>(row, c + i) : 0.0f;
  } else if (wide) {
    const Vec4 w = *(const Vec4*)((const float*)row + c);
    p.v[0] = __uint_as_float(w.x), p.v[1] = __uint_as_float(w.y), p.v[2] = __uint_as_float(w.z), p.v[3] = __uint_as_float(w.w);
  } else {
    const Vec2 w = *(const Vec2*)((const elem*)row + c);
    p.v[0] = low(w.x), p.v[1] = high(w.x), p.v[2] = low(w.y), p.v[3] = high(w.y);
  }
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

// Row i of a matrix with rows of ld values.
template <bool wide> DEV const void* row_of(const void* p, int i, int ld) { return (const u8*)p + (u64)i * ld * (wide ? 4 : 2); }
template <bool wide> DEV void* row_of(void* p, int i, int ld) { return (u8*)p + (u64)i * ld * (wide ? 4 : 2); }

// Sums term(value) over the columns of a row whose pieces piece(c) gives; those
// kept are in `kept`. What a lane adds lies in ascending columns. All lanes
// have the same bits.
template <class Source, class Term> DEV float row_sum(const Piece (&kept)[KEPT], int H, Source piece, Term term) {
  float sum = 0.0f;
  auto take = [&](const Piece& p, int c) {
#pragma unroll
    for (int i = 0; i < PIECE; i++)
      if (c + i < H) sum += term(p.v[i]);
  };
#pragma unroll
  for (int k = 0; k < KEPT; k++)
    if (k * SPAN + first_column() < H) take(kept[k], k * SPAN + first_column());
  each_column(KEPT * SPAN, H, [&](int c) { take(piece(c), c); });
  return warp_sum(sum);
}

// Calls use(c, piece) for each piece of this lane.
template <class Source, class Use> DEV void each_piece(const Piece (&kept)[KEPT], int H, Source piece, Use use) {
#pragma unroll
  for (int k = 0; k < KEPT; k++)
    if (k * SPAN + first_column() < H) use(k * SPAN + first_column(), kept[k]);
  each_column(KEPT * SPAN, H, [&](int c) { use(c, piece(c)); });
}

template <class Source> DEV void keep(Piece (&kept)[KEPT], int H, Source piece) {
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    const int c = first_column() + k * SPAN;
    if (c < H) kept[k] = piece(c);
  }
}

// Layer norm: gamma·(x − mean)/√(variance + eps) + beta. The variance is the
// mean of squared distances from the mean, which has been found first: where
// values lie far from zero and close together, the difference of two large
// sums of squares would be noise.
template <bool wide, class Source>
DEV void normalize_row(void* y, const Piece (&kept)[KEPT], int H, Source piece, const float* gamma, const float* beta, float eps) {
  const float share = __fdividef(1.0f, H);
  const float mean = row_sum(kept, H, piece, [](float v) { return v; }) * share;
  const float variance = row_sum(kept, H, piece, [&](float v) { return (v - mean) * (v - mean); }) * share;
  const float factor = rsqrtf(variance + eps);
  each_piece(kept, H, piece, [&](int c, const Piece& p) {
    const Piece g = load_piece<true>(gamma, c, H), b = load_piece<true>(beta, c, H);
    Piece out;
#pragma unroll
    for (int i = 0; i < PIECE; i++) out.v[i] = (p.v[i] - mean) * factor * g.v[i] + b.v[i];
    store_piece<wide>(y, c, H, out);
  });
}
