// uses rows.cuh
// Select rows: y[b] is x of the first token of row b of the batch, or with LAST
// of its last.
//
// offsets: int[count+1]; x: [tokens][ldx], f32 if X32; y: [count][ldy], f32 if
// OUT32. Grid: a warp a row of the batch.

KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ offsets, const void* __restrict__ x, void* __restrict__ y,
      int H, int ldx, int ldy) {
  begin();
  const int row = own_row();
  if (row >= *count) return;
  const int token = LAST ? offsets[row + 1] - 1 : offsets[row];
  const void* from = row_of<X32>(x, token, ldx);
  void* to = row_of<OUT32>(y, row, ldy);
  each_column(0, H, [&](int c) { store_piece<OUT32>(to, c, H, load_piece<X32>(from, c, H)); });
}
