// uses norm.cuh
KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ ids, const int* __restrict__ positions, const int* __restrict__ types, const elem* __restrict__ word, const elem* __restrict__ position, const elem* __restrict__ type, void* __restrict__ y, int H, int ldw, int ldy, float scale) {
  const int row = blockIdx.x;
  if (row >= *count) return;
  for (int c = threadIdx.x; c < H; c += THREADS) {
    float v = to_float(word[(u64)ids[row] * ldw + c]) * scale;
    if (position) v += to_float(position[(u64)positions[row] * ldw + c]);
    if (type) v += to_float(type[(u64)types[row] * ldw + c]);
    store<OUT32>(y, (u64)row * ldy + c, v);
  }
}
