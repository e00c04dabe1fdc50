// What the attention kernels share. A block works on one head and on QB queries
// of one row of the batch; each of its warps owns 16 of them, and does for each
// query the same arithmetic in the same order whatever the others are. So the
// bits of a query depend on its row alone, not on its place in a block, in a
// batch or in a list of tiles.
//
// Products are m16n8k16: a warp's 16 queries are the rows. Lane l holds rows
// l/4 and l/4+8 of a result, in each columns 2(l%4) and 2(l%4)+1 of 8.

#ifndef ROWS
#define ROWS 0 // queries: 0 every token, 1 the first of each row, 2 the last
#endif
#ifndef BIAS
#define BIAS 0
#endif

#define METHOD __device__ __forceinline__

#define WARPS (QB / 16)
#define THREADS (32 * WARPS)
// Blocks an SM that registers have to leave room for. Without a number the
// assembler spills a few registers to fit in one block more.
#define MIN_BLOCKS 1
#define STAGES 3 // tiles of keys or values in shared memory: one in use, two on their way

#ifdef D
#define KEY_WIDTH D
#else
#define KEY_WIDTH 0
#endif
#if defined BN
#define VALUE_WIDTH BN // of all features, those of one block
#elif defined DV
#define VALUE_WIDTH DV
#else
#define VALUE_WIDTH 0
#endif
#define WIDEST (KEY_WIDTH > VALUE_WIDTH ? KEY_WIDTH : VALUE_WIDTH)

// Keys of a tile.
#ifdef KB
#define KEYS KB
#elif defined MAXS
#define MOST_KEYS (QB == 16 || WIDEST > 128 ? 32 : 64)
#define KEYS (MAXS < MOST_KEYS ? MAXS : MOST_KEYS)
#else
#define KEYS (WIDEST > 128 ? 32 : 64)
#endif

// ---- tiles in shared memory ----

// A tile has rows of 16-byte chunks, an even number of them: a product takes 16
// elements at a time, and what a row lacks is zero. Chunks change places within
// a row, so that the same chunk of 8 rows one after another lies in 8 different
// sixteenths of the banks.
#define CHUNKS(width) (((width) + 15) / 16 * 2)
// The bits of a chunk's number that change in that row: the same every 8 rows.
template <int width> DEV int moved(int row) {
  constexpr int chunks = CHUNKS(width), group = chunks % 8 == 0 ? 8 : chunks % 4 == 0 ? 4 : 2;
  return row / (8 / group) % group;
}
template <int width> DEV u32 place(int row, int chunk) {
  return (u32)(row * CHUNKS(width) + (chunk ^ moved<width>(row))) * 16;
}

// Where a lane reads or writes in a tile, from a row and chunk 0 or 1 on.
template <int width> struct Lane {
  u32 row, bits;
  METHOD Lane(u32 tile, int from, int chunk) {
    row = tile + (u32)(from * CHUNKS(width)) * 16;
    bits = (u32)(chunk ^ moved<width>(from)) * 16;
  }
  // Further rows, a multiple of 8, and further chunks, an even number where it began with chunk 1.
  METHOD u32 at(int rows, int chunks) const { return row + (u32)(rows * CHUNKS(width)) * 16 + (bits ^ (u32)chunks * 16); }
};

#define CHUNK_BYTES 16
#define QUERY_BYTES (QB * CHUNKS(KEY_WIDTH) * CHUNK_BYTES)
#define STAGE_BYTES (KEYS * CHUNKS(WIDEST) * CHUNK_BYTES)

// Starts the copy of a tile of `rows` rows, of which `count` are there, each
// with `columns` elements: a multiple of 8. The rest of the tile becomes zero.
template <int rows, int width> DEV void copy_tile(u32 to, const elem* from, int ld, int count, int columns) {
  constexpr int chunks = CHUNKS(width);
  constexpr int unrolled = rows * chunks <= 8 * THREADS ? 8 : 4; // an address for each is kept in registers
#pragma unroll unrolled
  for (int at = 0; at < rows * chunks; at += THREADS) {
    u32 i = at + threadIdx.x;
    int row = i / chunks, chunk = i % chunks;
    bool there = row < count && chunk * 8 < columns;
    if (i < rows * chunks) // true or false for a whole warp
      copy_async(to + place<width>(row, chunk), there ? from + (u64)row * ld + chunk * 8 : from, there ? CHUNK_BYTES : 0);
  }
}

// The tiles go round in STAGES places. Copy i+2 starts when all warps have left
// tile i-1, whose place it takes.
struct Ring {
  u32 base;
  int stage; // of the tile in use

  // Waits for the tile in use; afterwards the place of the one before is free.
  METHOD u32 arrive() const {
    copy_wait<STAGES - 2>();
    __syncthreads();
    return base + stage * STAGE_BYTES;
  }
  METHOD u32 free_place() const { return base + (stage == 0 ? STAGES - 1 : stage - 1) * STAGE_BYTES; }
  METHOD void advance() { stage = stage == STAGES - 1 ? 0 : stage + 1; }
};

// ---- the part of a batch that a block works on ----

struct Task {
  int row;     // of the batch
  int token;   // the row's first token
  int keys;    // tokens of the row
  int first;   // position in the row of the block's first query
  int queries; // of the block: 1 to QB
  int output;  // row of the result for the first query
};

// False for blocks past the end of the batch.
DEV bool find_task(Task& t, const Batch* batch, const int* offsets, const Tile* tiles) {
  int i = blockIdx.x;
#if ROWS == 0
  if (i >= (QB == 64 ? batch->tiles64 : batch->tiles16)) return false;
  t.row = tiles[i].row;
  t.first = tiles[i].query;
#else
  if (i >= batch->rows) return false;
  t.row = i;
#endif
  t.token = offsets[t.row];
  t.keys = offsets[t.row + 1] - t.token;
#if ROWS == 0
  t.queries = min(QB, t.keys - t.first);
  t.output = t.token + t.first;
#else
  t.first = ROWS == 1 ? 0 : t.keys - 1;
  t.queries = 1;
  t.output = t.row;
#endif
  return t.keys > 0;
}

#ifdef D
// Where the block's head begins: at its first query, and at the row's first key and value.
struct Operands { const elem *q, *k, *v; int ldq; };

// Of qkv = [q heads | k heads | v heads], or with ROWS not 0 [k heads | v heads] and q.
DEV Operands operands(const Task& t, const elem* qkv, const elem* q, int heads, int ldqkv, int ldq) {
  const elem* row = qkv + (u64)t.token * ldqkv;
  int head = blockIdx.y;
#if ROWS == 0
  q = qkv;
  ldq = ldqkv;
  row += heads * D;
#endif
  return {q + (u64)t.output * ldq + head * D, row + head * D, row + heads * D + head * VALUE_WIDTH, ldq};
}
#endif

// The keys that the first `queries` of a block see: what lies behind is not read.
DEV int keys_seen(const Task& t, int queries) {
  return CAUSAL ? min(t.keys, t.first + queries) : t.keys;
}
// The same for the queries of this thread's warp; 0 where it has none.
DEV int keys_of_warp(const Task& t) {
  int from = (int)threadIdx.x / 32 * 16;
  return from < t.queries ? keys_seen(t, min(from + 16, t.queries)) : 0;
}
// Position in the row of this thread's query (0 or 1). Past the last it is the last's.
DEV int query_position(const Task& t, int which) {
  int query = (int)threadIdx.x / 32 * 16 + (int)threadIdx.x % 32 / 4 + 8 * which;
  return t.first + min(query, t.queries - 1);
}

// 16-key tiles that hold some of `keys` keys: at most those of one stage.
DEV int tiles_of(int keys) { return min(KEYS / 16, (keys + 15) / 16); }

// ---- scores ----

#define NOT_SEEN __uint_as_float(0xff800000u) // -∞

#ifdef D
// The queries of a warp as operands of products: kept in registers where they
// fit, else read again for each tile of keys.
#define QUERY_STEPS ((D + 15) / 16)
#define QUERIES_KEPT (D <= 128)
struct Queries {
  u32 tile;
  u32 held[QUERIES_KEPT ? QUERY_STEPS : 1][4];

  METHOD void read(u32 (&a)[4], int step) const {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    load_matrices(a, Lane<D>(tile, warp * 16 + lane % 16, lane / 16).at(0, 2 * step));
  }
  METHOD void hold(u32 at) {
    tile = at;
#pragma unroll
    for (int i = 0; i < (QUERIES_KEPT ? QUERY_STEPS : 0); i++) read(held[i], i);
  }
  METHOD void get(u32 (&a)[4], int step) const {
    if (!QUERIES_KEPT) return read(a, step);
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = held[QUERIES_KEPT ? step : 0][i];
  }
};

// s += q·k of n 16-key tiles, the first of which is `tile` of the stage at keys.
template <int n> DEV void multiply_keys(float (*s)[4], const Queries& q, u32 keys, int tile) {
  int lane = threadIdx.x % 32;
  Lane<D> from(keys, lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
  for (int step = 0; step < QUERY_STEPS; step++) {
    u32 a[4];
    q.get(a, step);
#pragma unroll
    for (int j = 0; j < n; j++) {
      u32 k[4];
      load_matrices(k, from.at(16 * (tile + j), 2 * step));
      multiply_add(s[2 * j], a, k[0], k[1]);
      multiply_add(s[2 * j + 1], a, k[2], k[3]);
    }
  }
}

// The products of a warp's queries with the first `tiles` 16-key tiles of a stage.
DEV void score_stage(float (*s)[4], const Queries& q, u32 keys, int tiles) {
#pragma unroll
  for (int i = 0; i < KEYS / 8; i++)
    s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0.0f;
  if (tiles == KEYS / 16) {
    multiply_keys<KEYS / 16>(s, q, keys, 0);
    return;
  }
#pragma unroll
  for (int j = 0; j < KEYS / 16; j++)
    if (j < tiles) multiply_keys<1>(s + 2 * j, q, keys, j);
}
#endif

// How products become scores: factor, bias by distance, and -∞ for keys that a
// query does not see.
struct Scores {
  int seen[2]; // keys that each of the thread's two queries sees
  int all;     // keys that every query of its warp sees
  float scale;
#if BIAS
  const float* bias[2]; // of key 0
  float bias_scale;
#endif

  METHOD void begin(const Task& t, float factor) {
    for (int r = 0; r < 2; r++) seen[r] = CAUSAL ? query_position(t, r) + 1 : t.keys;
    all = CAUSAL ? t.first + (int)threadIdx.x / 32 * 16 + 1 : t.keys;
    scale = factor;
  }
#if BIAS
  // table has 2S-1 numbers for each head, that of distance 0 in the middle.
  METHOD void begin_bias(const Task& t, const float* table, int head, int S, float factor) {
    for (int r = 0; r < 2; r++)
      bias[r] = table + (u64)head * (2 * S - 1) + (S - 1 - query_position(t, r));
    bias_scale = factor;
  }
#endif
  // Scores in place of the products of a 16-key tile whose first key is `from`,
  // and the largest of each query.
  METHOD void finish(float (*s)[4], int from, float (&largest)[2]) const {
    if (from + 16 <= all) score<false>(s, from, largest);
    else score<true>(s, from, largest);
  }
  template <bool masked> METHOD void score(float (*s)[4], int from, float (&largest)[2]) const {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      int r = i / 2 % 2, j = from + i / 4 * 8 + (int)threadIdx.x % 4 * 2 + i % 2;
      float& value = s[i / 4][i % 4];
      value *= scale;
#if BIAS
      value += bias_scale * bias[r][masked ? min(j, seen[r] - 1) : j];
#endif
      if (masked && j >= seen[r]) value = NOT_SEEN;
      largest[r] = fmaxf(largest[r], value);
    }
  }
};

// Over the four lanes that share a query.
DEV float query_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, 1));
  return fmaxf(v, __shfl_xor_sync(ALL_LANES, v, 2));
}
DEV float query_sum(float v) {
  v += __shfl_xor_sync(ALL_LANES, v, 1);
  return v + __shfl_xor_sync(ALL_LANES, v, 2);
}

// ---- values ----

#if defined DV || defined BN
#define VALUE_TILES (VALUE_WIDTH / 8)
typedef float Weighted[VALUE_TILES][4]; // 16 queries × VALUE_WIDTH: sums of weighted values

DEV void clear(Weighted& o) {
#pragma unroll
  for (int i = 0; i < VALUE_TILES; i++)
    o[i][0] = o[i][1] = o[i][2] = o[i][3] = 0.0f;
}

// The weights 2^(s-largest) of a 16-key tile, as an operand of a product. Their
// sum is taken before they are rounded.
DEV void weigh(u32 (&p)[4], const float (*s)[4], const float (&largest)[2], float (&sum)[2]) {
#pragma unroll
  for (int i = 0; i < 4; i++) { // of 8 keys, a pair of query i%2
    int r = i % 2;
    float a = exp2_approx(s[i / 2][2 * r] - largest[r]);
    float b = exp2_approx(s[i / 2][2 * r + 1] - largest[r]);
    sum[r] += a + b;
    p[i] = pack(a, b);
  }
}

// o += p·v for 16-key tile `tile` of the stage at values.
DEV void multiply_values(Weighted& o, const u32 (&p)[4], u32 values, int tile) {
  int lane = threadIdx.x % 32;
  Lane<VALUE_WIDTH> from(values, lane % 16, lane / 16);
#pragma unroll
  for (int j = 0; j < VALUE_TILES; j += 2) {
    u32 v[4];
    load_matrices_transposed(v, from.at(16 * tile, j));
    multiply_add(o[j], p, v[0], v[1]);
    if (j + 1 < VALUE_TILES) multiply_add(o[j + 1], p, v[2], v[3]);
  }
}

// Stores the block's queries as rows of VALUE_WIDTH elements; the first goes to
// y. They pass through shared memory, all of which is free by then, so that
// rows are written in whole chunks. Of the last chunk only elements before
// `columns` are stored.
DEV void store_rows(const Weighted& o, elem* y, int ldy, int queries, int columns) {
  constexpr int chunks = VALUE_TILES;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Lane<VALUE_WIDTH> own(0, warp * 16 + lane / 4, 0);
  __syncthreads();
#pragma unroll
  for (int j = 0; j < VALUE_TILES; j++)
#pragma unroll
    for (int r = 0; r < 2; r++)
      *(u32*)(shared + own.at(8 * r, j) + lane % 4 * 4) = pack(o[j][2 * r], o[j][2 * r + 1]);
  __syncthreads();
  for (int i = threadIdx.x; i < queries * chunks; i += THREADS) {
    int row = i / chunks, chunk = i % chunks, left = columns - chunk * 8;
    const u8* from = shared + place<VALUE_WIDTH>(row, chunk);
    elem* to = y + (u64)row * ldy + chunk * 8;
    if (left >= 8) *(Vec4*)to = *(const Vec4*)from;
    else
      for (int e = 0; e < left; e++) to[e] = ((const elem*)from)[e];
  }
}

DEV void scale_rows(Weighted& o, float first, float second) {
#pragma unroll
  for (int i = 0; i < VALUE_TILES; i++) {
    o[i][0] *= first;
    o[i][1] *= first;
    o[i][2] *= second;
    o[i][3] *= second;
  }
}
#endif
