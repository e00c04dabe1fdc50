// uses rows.cuh
// Normalize: y = x/max(‖x‖, 1e-12), row by row.
//
// x: [count][ldx], f32 if X32; y: [count][ldy], f32 if OUT32.
// Grid: a warp a row.

#define SHORTEST 1e-12f  // a shorter vector is not made longer

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, void* __restrict__ y, int H, int ldx, int ldy) {
  begin();
  const int row = own_row();
  if (row >= *count) return;
  const void* from = row_of<X32>(x, row, ldx);
  auto piece = [&](int c) { return load_piece<X32>(from, c, H); };
  Reading<X32> read;
  read.ask(from, H);
  Kept kept;
  read.take(kept, H);
  const float length = fmaxf(sqrtf(row_sum(kept, H, piece, [](float v) { return v * v; })), SHORTEST);
  const float factor = __fdividef(1.0f, length);
  void* to = row_of<OUT32>(y, row, ldy);
  each_piece(kept, H, piece, [&](int c, const Piece& p) {
    Piece out;
#pragma unroll
    for (int i = 0; i < PIECE; i++) out.v[i] = p.v[i] * factor;
    store_piece<OUT32>(to, c, H, out);
  });
}
