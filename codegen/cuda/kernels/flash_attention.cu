// uses attention.cuh
// Attention with an online softmax over blocks of KB keys, for rows of any length:
//
//   y[t][h] = sum_j 2^(s_j) v[j][h] / sum_j 2^(s_j),  s_j = scale·q[t][h]·k[j][h] (+ bias_scale·bias[h][j-t])
//
// qkv: [T][ldqkv] = [q heads | k heads | v heads] of widths D, D and DV; with
// ROWS 1 or 2 (first or last token of each row) [k heads | v heads], and q is
// [B][ldq]. bias: f32 [heads][2S-1] or null. y: [T or B][ldy].
// Grid (tiles, heads). Blocks of keys begin at the row's own first token.
// Shared memory: queries, then STAGES tiles of keys and values in turn.
// After E.T.'s time: Dao, FlashAttention-2 (2023).

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const Batch* __restrict__ batch, const elem* __restrict__ qkv, const elem* __restrict__ q, const int* __restrict__ offsets,
      const Tile* __restrict__ tiles, const float* __restrict__ bias, elem* __restrict__ y,
      int heads, int ldqkv, int ldq, int ldy, int S, float scale, float bias_scale) {
  begin();
  Task t;
  if (!find_task(t, batch, offsets, tiles)) return;
  Operands in = operands(t, qkv, q, heads, ldqkv, ldq);
  int seen = keys_seen(t, t.queries), mine = keys_of_warp(t);
  int items = 2 * ((seen + KEYS - 1) / KEYS); // keys of a block, then its values

  u32 base = shared_address(shared);
  Ring ring = {base + QUERY_BYTES, 0};
  auto start = [&](u32 to, int item) {
    if (item < items) {
      int key = item / 2 * KEYS;
      if (item % 2 == 0) copy_tile<KEYS, D>(to, in.k + (u64)key * ldqkv, ldqkv, t.keys - key, D);
      else copy_tile<KEYS, DV>(to, in.v + (u64)key * ldqkv, ldqkv, t.keys - key, DV);
    }
    copy_commit();
  };
  copy_tile<QB, D>(base, in.q, in.ldq, t.queries, D);
  start(ring.base, 0);
  start(ring.base + STAGE_BYTES, 1);

  Scores scores;
  scores.begin(t, scale);
#if BIAS
  scores.begin_bias(t, bias, blockIdx.y, S, bias_scale);
#endif
  Queries queries;
  Weighted o;
  clear(o);
  float largest[2] = {NOT_SEEN, NOT_SEEN}, sum[2] = {0.0f, 0.0f};
#pragma unroll 1
  for (int item = 0; item < items; item += 2) {
    int from = item / 2 * KEYS, count = tiles_of(mine - from);
    u32 keys = ring.arrive();
    start(ring.free_place(), item + 2);
    if (item == 0) queries.hold(base);
    float s[KEYS / 8][4];
    score_stage(s, queries, keys, count);
    float before[2] = {largest[0], largest[1]};
#pragma unroll
    for (int j = 0; j < KEYS / 16; j++)
      if (j < count) scores.finish(s + 2 * j, from + 16 * j, largest);
    ring.advance();

    u32 values = ring.arrive();
    start(ring.free_place(), item + 3);
    if (count > 0) { // then every query has a largest score: each sees the row's first key
      float shrink[2];
#pragma unroll
      for (int r = 0; r < 2; r++) {
        largest[r] = query_max(largest[r]);
        shrink[r] = exp2_approx(before[r] - largest[r]);
        sum[r] *= shrink[r];
      }
      scale_rows(o, shrink[0], shrink[1]);
#pragma unroll
      for (int j = 0; j < KEYS / 16; j++)
        if (j < count) {
          u32 p[4];
          weigh(p, s + 2 * j, largest, sum);
          multiply_values(o, p, values, j);
        }
    }
    ring.advance();
  }
  scale_rows(o, 1.0f / query_sum(sum[0]), 1.0f / query_sum(sum[1]));
  store_rows(o, y + (u64)t.output * ldy + blockIdx.y * DV, ldy, t.queries, DV);
}
