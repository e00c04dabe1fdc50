// uses rows.cuh
// Pool: y[b] is the mean of x over the tokens of row b of the batch.
//
// offsets: int[count+1]; x: [tokens][ldx], f32 if X32; y: [count][ldy], f32 if
// OUT32. A thread adds the tokens of its columns in ascending order.
// Grid: one block a row of the batch.

KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ offsets, const void* __restrict__ x, void* __restrict__ y,
      int H, int ldx, int ldy) {
  begin();
  const int row = blockIdx.x;
  if (row >= *count) return;
  const int first = offsets[row], end = offsets[row + 1];
  void* to = row_of<OUT32>(y, row, ldy);
  const float share = __fdividef(1.0f, end - first);
  for (int c = threadIdx.x * PIECE; c < H; c += THREADS * PIECE) {
    Piece sum = {};
#pragma unroll 4  // reads under way at one time
    for (int token = first; token < end; token++) add(sum, load_piece<X32>(row_of<X32>(x, token, ldx), c, H));
#pragma unroll
    for (int i = 0; i < PIECE; i++) sum.v[i] *= share;
    store_piece<OUT32>(to, c, H, sum);
  }
}
