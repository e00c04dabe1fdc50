// uses rows.cuh
// Skip and layer norm: sum = scatter(x, columns) + residual + bias, norm = layernorm(sum).
//
// x: [count][ldx] with M columns, f32 if X32, and columns the M ascending
// columns of the sum that they belong to; null: M is H. residual:
// [count][ldr], f32 if R32; bias f32[H] or null; gamma, beta: f32[H]. sum:
// [count][lds], f32 if S32; norm: [count][ldn], f32 if N32; either may be
// null. The norm is of the sum before it is rounded. Grid: a warp a row.
// From E.T. (SC'21), skip-layernorm, with its scatter of condensed rows.

// Adds to columns c to c+4 of a sum those values of x that belong there: those
// before `at` belong to columns before c.
DEV void scatter(Piece& p, const void* x, const int* columns, int c, int M) {
  int at = 0;
  for (int end = M; at < end;) {
    const int middle = (at + end) / 2;
    if (columns[middle] < c) at = middle + 1;
    else end = middle;
  }
#pragma unroll
  for (int i = 0; i < PIECE; i++)
    if (at < M && columns[at] == c + i) p.v[i] += load<X32>(x, at++);
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const void* __restrict__ x, const void* __restrict__ residual,
      const float* __restrict__ gamma, const float* __restrict__ beta, const float* __restrict__ bias, const int* __restrict__ columns,
      void* __restrict__ sum, void* __restrict__ norm, int H, int M, int ldx, int ldr, int lds, int ldn, float eps) {
  begin();
  const int row = own_row();
  if (row >= *count) return;
  const void* from = row_of<X32>(x, row, ldx);
  const void* skipped = row_of<R32>(residual, row, ldr);
  auto piece = [&](int c) {
    Piece p = load_piece<R32>(skipped, c, H);
    if (bias) add(p, load_piece<true>(bias, c, H));
    if (columns) scatter(p, from, columns, c, M);
    else add(p, load_piece<X32>(from, c, H));
    return p;
  };
  Reading<R32> read_skipped;
  Reading<X32> read_x;
  read_skipped.ask(skipped, H);
  if (!columns) read_x.ask(from, H);
  Kept kept, more;
  read_skipped.take(kept, H);
  if (bias) {
    Reading<true> read_bias;
    read_bias.ask(bias, H);
    read_bias.take(more, H);
#pragma unroll
    for (int k = 0; k < KEPT; k++) add(kept[k], more[k]);
  }
  if (columns) {
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (kept_column(k) < H) scatter(kept[k], from, columns, kept_column(k), M);
  } else {
    read_x.take(more, H);
#pragma unroll
    for (int k = 0; k < KEPT; k++) add(kept[k], more[k]);
  }
  if (sum) {
    void* to = row_of<S32>(sum, row, lds);
    each_piece(kept, H, piece, [&](int c, const Piece& p) { store_piece<S32>(to, c, H, p); });
  }
  if (norm) normalize_row<N32>(row_of<N32>(norm, row, ldn), kept, H, piece, gamma, beta, eps);
}
