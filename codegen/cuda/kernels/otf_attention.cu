// uses attention.cuh
// uses whole_row.cuh
// On-the-fly attention: the whole row of scores of a query stays on chip.
//
//   y[t][h] = sum_j 2^(s_j) v[j][h] / sum_j 2^(s_j),  s_j = scale·q[t][h]·k[j][h] (+ bias_scale·bias[h][j-t])
//
// qkv: [T][ldqkv] = [q heads | k heads | v heads] of widths D, D and DV; with
// ROWS 1 or 2 (first or last token of each row) [k heads | v heads], and q is
// [B][ldq]. bias: f32 [heads][2S-1] or null. y: [T or B][ldy]. Rows have at
// most MAXS tokens.
// Grid (tiles, heads). A block computes all its scores, the largest of each
// query, then the weighted sum of values; nothing but y is written.
// Shared memory: queries, STAGES tiles of keys and then of values, scores of
// long rows. From E.T. (SC'21), on-the-fly attention, full.

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const Batch* __restrict__ batch, const elem* __restrict__ qkv, const elem* __restrict__ q, const int* __restrict__ offsets,
      const Tile* __restrict__ tiles, const float* __restrict__ bias, elem* __restrict__ y,
      int heads, int ldqkv, int ldq, int ldy, int S, float scale, float bias_scale) {
  begin();
  Task t;
  if (!find_task(t, batch, offsets, tiles)) return;
  Scores scores;
  scores.begin(t, scale);
#if BIAS
  scores.begin_bias(t, bias, blockIdx.y, S, bias_scale);
#endif
  Weighted o;
  clear(o);
  float sum[2];
  Operands in = operands(t, qkv, q, heads, ldqkv, ldq);
  attend(o, sum, t, in, ldqkv, scores, [&](u32 to, int key) {
    copy_tile<KEYS, DV>(to, in.v + (u64)key * ldqkv, ldqkv, t.keys - key, DV);
  });
  scale_rows(o, 1.0f / sum[0], 1.0f / sum[1]);
  store_rows(o, y + (u64)t.output * ldy + blockIdx.y * DV, ldy, t.queries, DV);
}
