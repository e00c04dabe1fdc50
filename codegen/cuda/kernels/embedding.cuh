// A row of an embedding: scale·word + position + type, as pieces of four columns.

struct Embedding {
  const elem *word, *position, *type;  // rows of the tables; position, type: null where there is none
  int H;
  float scale;

  __device__ __forceinline__ Piece operator()(int c) const {
    Piece sum = load_piece<false>(word, c, H);
#pragma unroll
    for (int i = 0; i < PIECE; i++) sum.v[i] *= scale;
    if (position) add(sum, load_piece<false>(position, c, H));
    if (type) add(sum, load_piece<false>(type, c, H));
    return sum;
  }
};

DEV Embedding embedding(int token, const int* ids, const int* positions, const int* types, const elem* word, const elem* position,
                        const elem* type, int H, int ldw, float scale) {
  Embedding e = {word + (u64)ids[token] * ldw, position, type, H, scale};
  if (position) e.position += (u64)positions[token] * ldw;
  if (type) e.type += (u64)types[token] * ldw;
  return e;
}
