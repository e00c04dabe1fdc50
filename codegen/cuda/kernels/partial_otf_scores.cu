// uses attention.cuh
// The scores of partial on-the-fly attention, a tiled product:
//
//   scores[t][h][j] = scale·q[t][h]·k[j][h]
//
// qkv: [T][ldqkv] = [q heads | k heads | v heads] of width D; with ROWS 1 or 2
// (first or last token of each row) [k heads | v heads], and q is [B][ldq].
// scores: f32 [T or B][heads][lds], j counted from the row's first token; lds is
// a multiple of 16, and keys are written 16 at a time. With CAUSAL, 16 keys that
// none of a warp's queries sees are not.
// Grid (tiles, heads, SPLIT): SPLIT blocks share the keys of a row.
// Shared memory: queries, then STAGES tiles of keys.

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const Batch* __restrict__ batch, const elem* __restrict__ qkv, const elem* __restrict__ q, const int* __restrict__ offsets,
      const Tile* __restrict__ tiles, float* __restrict__ scores, int heads, int ldqkv, int ldq, int lds, float scale) {
  begin();
  Task t;
  if (!find_task(t, batch, offsets, tiles)) return;
  Operands in = operands(t, qkv, q, heads, ldqkv, ldq);
  int seen = keys_seen(t, t.queries), mine = keys_of_warp(t);
  int first = blockIdx.z * KEYS;
  if (first >= seen) return;

  u32 base = shared_address(shared);
  Ring ring = {base + QUERY_BYTES, 0};
  auto start = [&](u32 to, int key) {
    if (key < seen) copy_tile<KEYS, D>(to, in.k + (u64)key * ldqkv, ldqkv, t.keys - key, D);
    copy_commit();
  };
  copy_tile<QB, D>(base, in.q, in.ldq, t.queries, D);
  start(ring.base, first);
  start(ring.base + STAGE_BYTES, first + SPLIT * KEYS);

  Queries queries;
  int lane = threadIdx.x % 32, query = threadIdx.x / 32 * 16 + lane / 4;
  float* row = scores + ((u64)(t.output + query) * heads + blockIdx.y) * lds + lane % 4 * 2;
#pragma unroll 1
  for (int from = first; from < seen; from += SPLIT * KEYS) {
    u32 keys = ring.arrive();
    start(ring.free_place(), from + 2 * SPLIT * KEYS);
    if (from == first) queries.hold(base);
    int count = tiles_of(mine - from);
    float s[KEYS / 8][4];
    score_stage(s, queries, keys, count);
#pragma unroll
    for (int i = 0; i < KEYS / 8; i++)
#pragma unroll
      for (int r = 0; r < 2; r++)
        if (i / 2 < count && query + 8 * r < t.queries)
          *(Vec2*)(row + (u64)(8 * r) * heads * lds + from + 8 * i) = {__float_as_uint(s[i][2 * r] * scale), __float_as_uint(s[i][2 * r + 1] * scale)};
    ring.advance();
  }
}
