// uses norm.cuh
KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, void* __restrict__ y, int H, int ldx, int ldy) {
  __shared__ float parts[WARPS];
  const int row = blockIdx.x;
  if (row >= *count) return;
  float s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) { const float v = load<X32>(x, (u64)row * ldx + c); s += v * v; }
  const float n = fmaxf(sqrtf(block_sum(s, parts)), 1e-12f);
  for (int c = threadIdx.x; c < H; c += THREADS) store<OUT32>(y, (u64)row * ldy + c, load<X32>(x, (u64)row * ldx + c) / n);
}
