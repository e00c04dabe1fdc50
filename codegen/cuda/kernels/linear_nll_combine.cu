// The second half of linear_nll: joins what linear_nll found in each chunk of
// the vocabulary, in ascending order.
//
//   nll[t] = log Σ exp(l) − l[ids[t]]     hit[t] = 1 where ids[t] is the lowest
//                                         word with the largest l, else 0
//
// for the logits l of the token before t in its row; both 0 for a row's first.
// partial is f32[chunks][count][4] as linear_nll.cu says, ids and rowof
// int[count], offsets int[B+1]; nll [count][ldn] and hit [count][ldh] are f32,
// each null where it is not wanted.
//
// Grid: a thread to a token.

#define THREADS 32
#define LOG2E 1.4426950408889634f

KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ ids, const int* __restrict__ offsets,
      const int* __restrict__ rowof, const Vec4* __restrict__ partial, float* __restrict__ nll,
      float* __restrict__ hit, int chunks, int ldn, int ldh) {
  begin();
  const int tokens = *count, t = blockIdx.x * THREADS + threadIdx.x;
  if (t >= tokens) return;
  float loss = 0.0f, right = 0.0f;
  if (t > offsets[rowof[t]]) {
    const Vec4 first = partial[t];
    float largest = __uint_as_float(first.x), sum = __uint_as_float(first.y), logit = __uint_as_float(first.w);
    int word = (int)first.z;
    // Chunks hold ascending words, each at least one; so of equal logits the
    // first met is the lowest, and the largest is never −∞.
#pragma unroll 4
    for (int c = 1; c < chunks; c++) {
      const Vec4 p = partial[(u64)c * tokens + t];
      const float next = __uint_as_float(p.x), both = fmaxf(largest, next);
      sum = sum * exp2_approx((largest - both) * LOG2E) + __uint_as_float(p.y) * exp2_approx((next - both) * LOG2E);
      if (next > largest) word = (int)p.z;
      largest = both;
      logit = fmaxf(logit, __uint_as_float(p.w));
    }
    loss = largest - logit + logf(sum);
    if (word == ids[t]) right = 1.0f;
  }
  if (nll) nll[(u64)t * ldn] = loss;
  if (hit) hit[(u64)t * ldh] = right;
}
