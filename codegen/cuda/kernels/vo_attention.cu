// uses attention.cuh
// uses whole_row.cuh
// Attention with the value and output products taken together:
//
//   y[t][n] = b[n] + sum_h sum_j p_hj·vo[j][h·N + n],  p_hj = 2^(s_hj) / sum_j 2^(s_hj),  s_hj = scale·q[t][h]·k[j][h]
//
// qk: [T][ldqk] = [q heads | k heads] of width D. vo: [T][ldvo], x times the
// precomputed W_O·W_V of each head. b: f32 [N] or null. y: [T][ldy]. Rows have
// at most MAXS tokens.
// Grid (tiles, 1, ceil(N/BN)). A block takes the heads one after another and
// adds them in registers: no atomics, one order.
// Shared memory: as otf_attention. From E.T. (SC'21), precomputed W_V·W_O.

// Starts the copy of KEYS rows of a block's features where heads begin at any
// element, so that 16 bytes at a time are not aligned.
DEV void copy_features(u32 to, const elem* from, int ld, int count, int columns) {
  constexpr int chunks = CHUNKS(BN);
  for (int i = threadIdx.x; i < KEYS * chunks; i += THREADS) {
    int row = i / chunks, chunk = i % chunks;
    u32 pairs[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int column = chunk * 8 + 2 * e;
      u32 first = row < count && column < columns ? from[(u64)row * ld + column] : 0;
      u32 second = row < count && column + 1 < columns ? from[(u64)row * ld + column + 1] : 0;
      pairs[e] = first | second << 16;
    }
    *(Vec4*)(shared + (to - shared_address(shared)) + place<BN>(row, chunk)) = {pairs[0], pairs[1], pairs[2], pairs[3]};
  }
}

#if OUT32
// Stores the block's queries as rows of f32.
DEV void store_sums(const Weighted& o, float* y, int ldy, int queries, int columns) {
  int lane = threadIdx.x % 32, query = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < VALUE_TILES; i++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      int column = i * 8 + lane % 4 * 2;
      float* to = y + (u64)(query + 8 * r) * ldy + column;
      if (query + 8 * r >= queries) continue;
      if (column + 1 < columns) *(Vec2*)to = {__float_as_uint(o[i][2 * r]), __float_as_uint(o[i][2 * r + 1])};
      else if (column < columns) *to = o[i][2 * r];
    }
}
#endif

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const Batch* __restrict__ batch, const elem* __restrict__ qk, const elem* __restrict__ vo, const int* __restrict__ offsets,
      const Tile* __restrict__ tiles, const float* __restrict__ b, void* __restrict__ y,
      int heads, int N, int ldqk, int ldvo, int ldy, float scale) {
  begin();
  Task t;
  if (!find_task(t, batch, offsets, tiles)) return;
  int from = blockIdx.z * BN, columns = min(BN, N - from), lane = threadIdx.x % 32;
  if (columns <= 0) return;
  Scores scores;
  scores.begin(t, scale);

  Weighted all; // over the heads so far
#pragma unroll
  for (int i = 0; i < VALUE_TILES * 4; i++) {
    int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    all[i / 4][i % 4] = b && column < columns ? b[from + column] : 0.0f;
  }
  bool aligned = N % 8 == 0;
#pragma unroll 1
  for (int head = 0; head < heads; head++) {
    const elem* keys = qk + (u64)t.token * ldqk + (heads + head) * D;
    const elem* values = vo + (u64)t.token * ldvo + head * N + from;
    Operands in = {qk + (u64)t.output * ldqk + head * D, keys, values, ldqk};
    Weighted o;
    clear(o);
    float sum[2];
    __syncthreads(); // all warps have left the tiles of the head before
    attend(o, sum, t, in, ldqk, scores, [&](u32 to, int key) {
      const elem* first = values + (u64)key * ldvo;
      if (aligned) copy_tile<KEYS, BN>(to, first, ldvo, t.keys - key, columns);
      else copy_features(to, first, ldvo, t.keys - key, columns);
    });
    float share[2] = {1.0f / sum[0], 1.0f / sum[1]};
#pragma unroll
    for (int i = 0; i < VALUE_TILES * 4; i++) all[i / 4][i % 4] += o[i / 4][i % 4] * share[i % 4 / 2];
  }
#if OUT32
  store_sums(all, (float*)y + (u64)t.output * ldy + from, ldy, t.queries, columns);
#else
  store_rows(all, (elem*)y + (u64)t.output * ldy + from, ldy, t.queries, columns);
#endif
}
