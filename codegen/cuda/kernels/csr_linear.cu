// Linear with scattered weights: y = act(s·(x·wᵀ + bias)) + residual, where w is
// in compressed sparse rows and s is `scale` for the first `scaled` outputs and
// 1 for the others.
//
// x is [count][ldx], residual [count][ldr], y [count][ldy]; bias f32[N]. bias
// and residual may be null. Output n has values[e] at input indices[e], for e
// from offsets[n] up to offsets[n+1], inputs ascending.
//
// No tensor core helps here: this is for weights that no other form fits. A lane
// computes one output of ROWS rows of x, one float32 sum each over inputs
// ascending; a warp has 32 neighbouring outputs, so it stores whole sectors.
//
// Grid: x blocks of rows, y blocks of 32 outputs. Constants: DTYPE; ACT; R32,
// OUT32: residual, y are f32.

#define WARPS 4
#define ROWS 8

KERNEL __launch_bounds__(WARPS * 32)
ENTRY(const int* __restrict__ count, const elem* __restrict__ x, const int* __restrict__ offsets,
      const int* __restrict__ indices, const elem* __restrict__ values, const float* __restrict__ bias,
      const void* __restrict__ residual, void* __restrict__ y, int N, int K, int ldx, int ldr, int ldy, int scaled,
      float scale) {
  begin();
  const int row0 = (blockIdx.x * WARPS + threadIdx.x / 32) * ROWS, n = blockIdx.y * 32 + threadIdx.x % 32;
  const int rows = min(ROWS, *count - row0);
  if (rows <= 0 || n >= N) return;
  const elem* from = x + (u64)row0 * ldx;

  float sums[ROWS] = {};
  const int end = offsets[n + 1];
  for (int e = offsets[n]; e < end; e++) {
    const float w = to_float(values[e]);
    const elem* column = from + indices[e];
#pragma unroll
    for (int i = 0; i < ROWS; i++)
      if (i < rows) sums[i] = fmaf(to_float(column[(u64)i * ldx]), w, sums[i]);
  }

  const float shift = bias ? bias[n] : 0.0f, s = n < scaled ? scale : 1.0f;
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    if (i >= rows) break;
    float v = activate(s * (sums[i] + shift));
    if (residual) v += load<R32>(residual, (u64)(row0 + i) * ldr + n);
    store<OUT32>(y, (u64)(row0 + i) * ldy + n, v);
  }
}
