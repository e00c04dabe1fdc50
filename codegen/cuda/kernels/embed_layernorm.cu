// uses norm.cuh
KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ ids, const int* __restrict__ positions, const int* __restrict__ types, const elem* __restrict__ word, const elem* __restrict__ position, const elem* __restrict__ type, const float* __restrict__ gamma, const float* __restrict__ beta, void* __restrict__ y, int H, int ldw, int ldy, float scale, float eps) {
  __shared__ float parts[WARPS];
  const int row = blockIdx.x;
  if (row >= *count) return;
  auto value = [&](int c) {
    float v = to_float(word[(u64)ids[row] * ldw + c]) * scale;
    if (position) v += to_float(position[(u64)positions[row] * ldw + c]);
    if (type) v += to_float(type[(u64)types[row] * ldw + c]);
    return v;
  };
  float s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) s += value(c);
  const float mean = block_sum(s, parts) / H;
  s = 0;
  for (int c = threadIdx.x; c < H; c += THREADS) { const float d = value(c) - mean; s += d * d; }
  const float r = rsqrtf(block_sum(s, parts) / H + eps);
  for (int c = threadIdx.x; c < H; c += THREADS) store<OUT32>(y, (u64)row * ldy + c, (value(c) - mean) * r * gamma[c] + beta[c]);
}
