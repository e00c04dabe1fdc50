// uses rows.cuh
// uses embedding.cuh
// Embed: y[t] = scale·word[ids[t]] + position[positions[t]] + type[types[t]].
//
// Tables are [rows][ldw] of elements; those of positions and types may be
// null, and their lists then are not read. y: [count][ldy], f32 if OUT32.
// Grid: a warp a token.

KERNEL __launch_bounds__(THREADS)
ENTRY(const int* __restrict__ count, const int* __restrict__ ids, const int* __restrict__ positions, const int* __restrict__ types,
      const elem* __restrict__ word, const elem* __restrict__ position, const elem* __restrict__ type, void* __restrict__ y,
      int H, int ldw, int ldy, float scale) {
  begin();
  const int token = own_row();
  if (token >= *count) return;
  const Embedding e = embedding(token, ids, positions, types, word, position, type, H, ldw, scale);
  each_column(0, H, [&](int c) { store_piece<OUT32>(row_of<OUT32>(y, token, ldy), c, H, e(c)); });
}
