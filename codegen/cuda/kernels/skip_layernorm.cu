// uses norm.cuh
KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, const void* __restrict__ residual, const float* __restrict__ gamma, const float* __restrict__ beta, const float* __restrict__ bias, const int* __restrict__ columns, void* __restrict__ sum, void* __restrict__ norm, int H, int M, int ldx, int ldr, int lds, int ldn, float eps) {
  __shared__ float parts[WARPS];
  const int row = blockIdx.x;
  if (row >= *count) return;
  auto value = [&](int c) {
    float v = load<R32>(residual, (u64)row * ldr + c) + (bias ? bias[c] : 0.0f);
    int m = c;
    if (columns) {
      int lo = 0, hi = M;
      while (lo < hi) { const int mid = (lo + hi) / 2; if (columns[mid] < c) lo = mid + 1; else hi = mid; }
      m = lo < M && columns[lo] == c ? lo : -1;
    }
    if (m >= 0) v += load<X32>(x, (u64)row * ldx + m);
    return v;
  };
  float s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) s += value(c);
  const float mean = block_sum(s, parts) / H;
  s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) { const float d = value(c) - mean; s += d * d; }
  const float r = rsqrtf(block_sum(s, parts) / H + eps);
  for (int c = threadIdx.x; c < H; c += THREADS) {
    const float v = value(c);
    if (sum) store<S32>(sum, (u64)row * lds + c, v);
    if (norm) store<N32>(norm, (u64)row * ldn + c, (v - mean) * r * gamma[c] + beta[c]);
  }
}
