// uses linear_product.cuh
// The first half of linear_nll: what each chunk of the vocabulary has to say
// of each token's loss. The logits are never stored.
//
// With l = x[t-1]·wᵀ + bias, the logits of the token before t in its row, and
// the words of chunk c, partial[c][t] is
//
//   { the largest l, Σ exp(l − largest), the lowest word that has it (as the
//     bits of an int), l of ids[t] or −∞ where that is no word of the chunk }
//
// x is [count][ldx], w [V][ldw], bias f32[V] or null, ids and rowof (the row
// of the batch that a token is in) int[count], partial f32[chunks][count][4].
// Of a row's first token, which nothing precedes, partial is that of zeros.
//
// Grid: one dimension, row tiles × chunks. Row tiles come first, so that the
// blocks that run at one time read the same words of w. A block takes TILES
// tiles of BN words in turn, through one line of stages.
//
// Constants: DTYPE; BM BN BK STAGES WM WN; TILES.

#define LOG2E 1.4426950408889634f
#define NONE __int_as_float(0xff800000)  // −∞: the logit of a word that is not there

// What is known of one token's logits.
struct Known { float largest, sum; int word; };

// exp(a − b), 1 where both are the same, be it −∞.
// So words that are not there count where no others are; joined with some that
// are, they become nothing.
DEV float fraction(float a, float b) { return a == b ? 1.0f : exp2_approx((a - b) * LOG2E); }

// Joins what is known of other words. The sums keep their order.
DEV Known join(Known a, Known b) {
  const float largest = fmaxf(a.largest, b.largest);
  const bool second = b.largest > a.largest || b.largest == a.largest && b.word < a.word;
  return {largest, a.sum * fraction(a.largest, largest) + b.sum * fraction(b.largest, largest), second ? b.word : a.word};
}

// What the block keeps behind the stages.
struct Memory {
  Vec4 known[WARPS_N][BM];  // of the words of one warp of those side by side
  int word[BM];             // ids[t], −1 for rows past the last
  float logit[BM];          // of that word
};

DEV Known unpack(Vec4 v) { return {__uint_as_float(v.x), __uint_as_float(v.y), (int)v.z}; }

// Of the rows of x that this thread copies, bit i is set where the token
// before it is of the same row of the batch.
DEV u32 find_tokens(const int* rowof, int first, int count) {
  u32 there = 0;
#pragma unroll
  for (int i = 0; i < BM; i += THREADS / CHUNKS) {
    const int t = first + threadIdx.x / CHUNKS + i;
    if (t > 0 && t < count && rowof[t - 1] == rowof[t]) there |= 1u << i / (THREADS / CHUNKS);
  }
  return there;
}

// Starts the copies of x: row r of the tile is the token before first+r, zeros
// where that is not there.
DEV void copy_tokens(u32 to, const elem* x, u32 there, int first, int ld, int k, int K) {
  const int row0 = threadIdx.x / CHUNKS, c = threadIdx.x % CHUNKS;
  const int bytes = max(0, min(16, (K - k - c * 8) * 2));
#pragma unroll
  for (int i = 0; i < BM; i += THREADS / CHUNKS) {
    const int t = first + row0 + i;
    const bool copy = there >> i / (THREADS / CHUNKS) & 1;
    copy_async(to + place<2>(row0 + i, c), copy ? x + (u64)(t - 1) * ld + k + c * 8 : x, copy ? bytes : 0);
  }
}

// Adds a warp's logits of words n to n+WN.
DEV void add_logits(Memory& m, const float (&sums)[TILES_M][TILES_N][4], const float* bias, int row0, int warp_n, int n, int V) {
  const int lane = threadIdx.x % 32, word0 = n + lane % 4 * WIDTH;
  float b[WIDTH];
  load_bias(b, bias, word0, V);
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const int row = row0 + i * 8 + lane / 4, wanted = m.word[row];
    float l[WIDTH];
    Known k = {NONE, 0.0f, word0};
#pragma unroll
    for (int e = 0; e < WIDTH; e++) {
      l[e] = word0 + e < V ? sums[i / 2][e / 2][i % 2 * 2 + e % 2] + b[e] : NONE;
      if (l[e] > k.largest) k.largest = l[e], k.word = word0 + e;
      if (word0 + e == wanted) m.logit[row] = l[e];
    }
    // The four lanes of a row.
#pragma unroll
    for (int o = 1; o < 4; o *= 2) {
      const float largest = __shfl_xor_sync(ALL_LANES, k.largest, o);
      const int word = __shfl_xor_sync(ALL_LANES, k.word, o);
      if (largest > k.largest || largest == k.largest && word < k.word) k.largest = largest, k.word = word;
    }
#pragma unroll
    for (int e = 0; e < WIDTH; e++) k.sum += fraction(l[e], k.largest);
    k.sum += __shfl_xor_sync(ALL_LANES, k.sum, 1);
    k.sum += __shfl_xor_sync(ALL_LANES, k.sum, 2);
    if (lane % 4 == 0) {
      const Known all = join(unpack(m.known[warp_n / WN][row]), k);
      m.known[warp_n / WN][row] = {__float_as_uint(all.largest), __float_as_uint(all.sum), (u32)all.word, 0};
    }
  }
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const elem* __restrict__ x, const elem* __restrict__ w,
      const float* __restrict__ bias, const int* __restrict__ ids, const int* __restrict__ rowof,
      Vec4* __restrict__ partial, int K, int V, int ldx, int ldw, int chunks) {
  after_previous();
  const int tokens = *count, tiles_m = (tokens + BM - 1) / BM;
  if (blockIdx.x >= tiles_m * chunks) return;
  const int row0 = blockIdx.x % tiles_m * BM, chunk = blockIdx.x / tiles_m, first = chunk * TILES * BN;
  const int warp = threadIdx.x / 32, warp_m = warp / WARPS_N * WM, warp_n = warp % WARPS_N * WN;
  const int stages = (K + BK - 1) / BK, tiles = min(TILES, (V - first + BN - 1) / BN);

  Memory& m = *(Memory*)(shared + STAGES * STAGE_BYTES);
  for (int r = threadIdx.x; r < BM; r += THREADS) {
    m.word[r] = row0 + r < tokens ? ids[row0 + r] : -1;
    m.logit[r] = NONE;
#pragma unroll
    for (int n = 0; n < WARPS_N; n++) m.known[n][r] = {__float_as_uint(NONE), 0, (u32)V, 0};
  }
  const u32 there = find_tokens(rowof, row0, tokens);
  float sums[TILES_M][TILES_N][4] = {};
  auto fetch = [&](int s) {
    if (s >= tiles * stages) return;
    const u32 to = shared_address(shared) + s % STAGES * STAGE_BYTES;
    const int tile = s / stages, k = s % stages * BK;
    copy_tokens(to, x, there, row0, ldx, k, K);
    copy_tile<BN, WIDTH>(to + W_BYTES, w, first + tile * BN, V, ldw, k, K);
  };
  auto done = [&](int s) {
    if ((s + 1) % stages) return;
    add_logits(m, sums, bias, warp_m, warp_n, first + s / stages * BN + warp_n, V);
#pragma unroll
    for (int i = 0; i < TILES_M; i++)
#pragma unroll
      for (int j = 0; j < TILES_N; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sums[i][j][e] = 0.0f;
  };
  run_stages(sums, warp_m, warp_n, tiles * stages, fetch, done);
  start_next();

  __syncthreads();
  for (int r = threadIdx.x; r < BM && row0 + r < tokens; r += THREADS) {
    Known all = unpack(m.known[0][r]);
#pragma unroll
    for (int n = 1; n < WARPS_N; n++) all = join(all, unpack(m.known[n][r]));
    partial[(u64)chunk * tokens + row0 + r] = {__float_as_uint(all.largest), __float_as_uint(all.sum), (u32)all.word,
                                               __float_as_uint(m.logit[r])};
  }
}
