// uses attention.cuh
// Partial on-the-fly attention: mask, softmax and product with the values for
// scores that partial_otf_scores has written.
//
//   y[t][h] = sum_j 2^(s_j) v[j][h] / sum_j 2^(s_j),  s_j = scores[t][h][j] (+ bias_scale·bias[h][j-t])
//
// scores: f32 [T or B][heads][lds]. qkv: [T][ldqkv] = [q heads | k heads | v heads]
// of widths D, D and DV; with ROWS 1 or 2 [k heads | v heads].
// bias: f32 [heads][2S-1] or null. y: [T or B][ldy].
// Grid (tiles, heads). A warp reads its scores twice: for the largest of each
// query while the first values are on their way, then for their weights.
// Shared memory: STAGES tiles of values. From E.T. (SC'21), on-the-fly
// attention, partial.

// The products of a 16-key tile whose first key is `from`. A thread's rows hold
// its queries; those past the last are the last again.
DEV void read_scores(float (&s)[2][4], const float* const (&rows)[2], int from) {
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      Vec2 pair = *(const Vec2*)(rows[r] + from + 8 * i);
      s[i][2 * r] = __uint_as_float(pair.x);
      s[i][2 * r + 1] = __uint_as_float(pair.y);
    }
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const Batch* __restrict__ batch, const elem* __restrict__ qkv, const float* __restrict__ scores, const int* __restrict__ offsets,
      const Tile* __restrict__ tiles, const float* __restrict__ bias, elem* __restrict__ y,
      int heads, int ldqkv, int ldy, int lds, int S, float bias_scale) {
  begin();
  Task t;
  if (!find_task(t, batch, offsets, tiles)) return;
  const elem* v = operands(t, qkv, qkv, heads, ldqkv, 0).v;
  int seen = keys_seen(t, t.queries), mine = keys_of_warp(t);

  Ring ring = {shared_address(shared), 0};
  auto start = [&](u32 to, int key) {
    if (key < seen) copy_tile<KEYS, DV>(to, v + (u64)key * ldqkv, ldqkv, t.keys - key, DV);
    copy_commit();
  };
  start(ring.base, 0);
  start(ring.base + STAGE_BYTES, KEYS);

  Scores meaning;
  meaning.begin(t, 1.0f);
#if BIAS
  meaning.begin_bias(t, bias, blockIdx.y, S, bias_scale);
#endif
  const float* rows[2];
#pragma unroll
  for (int r = 0; r < 2; r++)
    rows[r] = scores + ((u64)(t.output + query_position(t, r) - t.first) * heads + blockIdx.y) * lds + threadIdx.x % 4 * 2;
  float largest[2] = {NOT_SEEN, NOT_SEEN}, sum[2] = {0.0f, 0.0f};
#pragma unroll 4
  for (int from = 0; from < mine; from += 16) {
    float s[2][4];
    read_scores(s, rows, from);
    meaning.finish(s, from, largest);
  }
#pragma unroll
  for (int r = 0; r < 2; r++) largest[r] = query_max(largest[r]);

  Weighted o;
  clear(o);
#pragma unroll 1
  for (int from = 0; from < seen; from += KEYS) {
    u32 values = ring.arrive();
    start(ring.free_place(), from + 2 * KEYS);
    int count = tiles_of(mine - from);
#pragma unroll
    for (int j = 0; j < KEYS / 16; j++)
      if (j < count) {
        float s[2][4], again[2];
        u32 p[4];
        read_scores(s, rows, from + 16 * j);
        meaning.finish(s, from + 16 * j, again);
        weigh(p, s, largest, sum);
        multiply_values(o, p, values, j);
      }
    ring.advance();
  }
  scale_rows(o, 1.0f / query_sum(sum[0]), 1.0f / query_sum(sum[1]));
  store_rows(o, y + (u64)t.output * ldy + blockIdx.y * DV, ldy, t.queries, DV);
}
