// uses rows.cuh
// Layer norm: y = gamma·(x − mean(x))/√(var(x) + eps) + beta, row by row.
//
// x: [count][ldx], f32 if X32; gamma, beta: f32[H]; y: [count][ldy], f32 if
// OUT32. Grid: a warp a row.

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
      void* __restrict__ y, int H, int ldx, int ldy, float eps) {
  begin();
  const int row = own_row();
  if (row >= *count) return;
  const void* from = row_of<X32>(x, row, ldx);
  auto piece = [&](int c) { return load_piece<X32>(from, c, H); };
  Reading<X32> read;
  read.ask(from, H);
  Kept kept;
  read.take(kept, H);
  normalize_row<OUT32>(row_of<OUT32>(y, row, ldy), kept, H, piece, gamma, beta, eps);
}
