// uses norm.cuh
KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, void* __restrict__ y, int H, int ldx, int ldy, float eps) {
  __shared__ float parts[WARPS];
  const int row = blockIdx.x;
  if (row >= *count) return;
  float s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) s += load<X32>(x, (u64)row * ldx + c);
  const float mean = block_sum(s, parts) / H;
  s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) { const float d = load<X32>(x, (u64)row * ldx + c) - mean; s += d * d; }
  const float r = rsqrtf(block_sum(s, parts) / H + eps);
  for (int c = threadIdx.x; c < H; c += THREADS) store<OUT32>(y, (u64)row * ldy + c, (load<X32>(x, (u64)row * ldx + c) - mean) * r * gamma[c] + beta[c]);
}
