// uses rows.cuh
// uses embedding.cuh
// Embed, then layer norm: y[t] = layernorm(scale·word[ids[t]] + position[positions[t]] + type[types[t]]).
//
// Tables are [rows][ldw] of elements; those of positions and types may be
// null, and their lists then are not read. gamma, beta: f32[H]. y:
// [count][ldy], f32 if OUT32. The sum is never rounded to an element.
// Grid: a warp a token.

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const int* __restrict__ ids, const int* __restrict__ positions, const int* __restrict__ types,
      const elem* __restrict__ word, const elem* __restrict__ position, const elem* __restrict__ type,
      const float* __restrict__ gamma, const float* __restrict__ beta, void* __restrict__ y,
      int H, int ldw, int ldy, float scale, float eps) {
  begin();
  const int token = own_row();
  if (token >= *count) return;
  const Embedding e = embedding(token, ids, positions, types, word, position, type, H, ldw, scale);
  Kept kept;
  keep(kept, e);
  normalize_row<OUT32>(row_of<OUT32>(y, token, ldy), kept, H, e, gamma, beta, eps);
}
