// Attention that keeps the whole row of scores of a query on chip: all scores
// first, then the largest, then the weighted sum of values. Rows have at most
// MAXS tokens.

// A row of scores stays in registers where there are enough, else in shared
// memory, where each lane keeps its own: nobody else reads them.
#ifdef BN
#define VALUE_SETS 2 // of one head, and summed over heads
#else
#define VALUE_SETS 1
#endif
#define ROW_STAGES ((MAXS + KEYS - 1) / KEYS)
#define IN_REGISTERS (ROW_STAGES * KEYS + VALUE_WIDTH * VALUE_SETS <= 320)
#define RING_BYTES (STAGES * STAGE_BYTES)
// Stages whose loop has to be unrolled, for registers have no index. No macro:
// nvcc expands none in a pragma.
enum { UNROLLED = IN_REGISTERS ? ROW_STAGES : 1 };

struct Row {
  float s[(IN_REGISTERS ? ROW_STAGES : 1) * KEYS / 8][4];

  // The scores of a stage, in registers.
  METHOD float (*stage(int i))[4] { return s + (IN_REGISTERS ? i * (KEYS / 8) : 0); }
  METHOD Vec4* saved(int i) const {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    return (Vec4*)(shared + QUERY_BYTES + RING_BYTES) + ((warp * ROW_STAGES + i) * (KEYS / 8)) * 32 + lane;
  }
  METHOD void save(int i) {
#pragma unroll
    for (int j = 0; j < (IN_REGISTERS ? 0 : KEYS / 8); j++)
      saved(i)[32 * j] = {__float_as_uint(s[j][0]), __float_as_uint(s[j][1]), __float_as_uint(s[j][2]), __float_as_uint(s[j][3])};
  }
  METHOD void restore(int i) {
#pragma unroll
    for (int j = 0; j < (IN_REGISTERS ? 0 : KEYS / 8); j++) {
      Vec4 v = saved(i)[32 * j];
      s[j][0] = __uint_as_float(v.x);
      s[j][1] = __uint_as_float(v.y);
      s[j][2] = __uint_as_float(v.z);
      s[j][3] = __uint_as_float(v.w);
    }
  }
};

// Attention of one head: o += 2^(s-largest)·v over the row's keys, and the sums
// of these weights. copy_values(to, key) starts the copy of a tile of values.
template <typename Copy>
DEV void attend(Weighted& o, float (&sum)[2], const Task& t, const Operands& in, int ldk, const Scores& scores, Copy copy_values) {
  int mine = keys_of_warp(t), stages = min(ROW_STAGES, (keys_seen(t, t.queries) + KEYS - 1) / KEYS);
  u32 base = shared_address(shared);
  Ring ring = {base + QUERY_BYTES, 0};
  auto start = [&](u32 to, int item) { // keys of all stages, then values of all
    if (item < stages) copy_tile<KEYS, D>(to, in.k + (u64)(item * KEYS) * ldk, ldk, t.keys - item * KEYS, D);
    else if (item < 2 * stages) copy_values(to, (item - stages) * KEYS);
    copy_commit();
  };
  copy_tile<QB, D>(base, in.q, in.ldq, t.queries, D);
  start(ring.base, 0);
  start(ring.base + STAGE_BYTES, 1);

  Row row;
  Queries queries;
  float largest[2] = {NOT_SEEN, NOT_SEEN};
#pragma unroll UNROLLED
  for (int i = 0; i < ROW_STAGES; i++) {
    if (i >= stages) continue;
    u32 keys = ring.arrive();
    start(ring.free_place(), i + 2);
    if (i == 0) queries.hold(base);
    int count = tiles_of(mine - i * KEYS);
    float(*s)[4] = row.stage(i);
    score_stage(s, queries, keys, count);
#pragma unroll
    for (int j = 0; j < KEYS / 16; j++)
      if (j < count) scores.finish(s + 2 * j, i * KEYS + 16 * j, largest);
    row.save(i);
    ring.advance();
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    largest[r] = query_max(largest[r]);
    sum[r] = 0.0f;
  }
#pragma unroll UNROLLED
  for (int i = 0; i < ROW_STAGES; i++) {
    if (i >= stages) continue;
    u32 values = ring.arrive();
    start(ring.free_place(), stages + i + 2);
    int count = tiles_of(mine - i * KEYS);
    row.restore(i);
#pragma unroll
    for (int j = 0; j < KEYS / 16; j++)
      if (j < count) {
        u32 p[4];
        weigh(p, row.stage(i) + 2 * j, largest, sum);
        multiply_values(o, p, values, j);
      }
    ring.advance();
  }
#pragma unroll
  for (int r = 0; r < 2; r++) sum[r] = query_sum(sum[r]);
}
