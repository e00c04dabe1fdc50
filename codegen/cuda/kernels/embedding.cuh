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

// Adds what is kept of a row of a table.
DEV void add_row(Kept& kept, const Reading<false>& read, int H) {
  Kept more;
  read.take(more, H);
#pragma unroll
  for (int k = 0; k < KEPT; k++) add(kept[k], more[k]);
}

// The pieces of e that a lane keeps.
DEV void keep(Kept& kept, const Embedding& e) {
  Reading<false> word, position, type;
  word.ask(e.word, e.H);
  if (e.position) position.ask(e.position, e.H);
  if (e.type) type.ask(e.type, e.H);
  word.take(kept, e.H);
#pragma unroll
  for (int k = 0; k < KEPT; k++)
#pragma unroll
    for (int i = 0; i < PIECE; i++) kept[k].v[i] *= e.scale;
  if (e.position) add_row(kept, position, e.H);
  if (e.type) add_row(kept, type, e.H);
}

DEV Embedding embedding(int token, const int* ids, const int* positions, const int* types, const elem* word, const elem* position,
                        const elem* type, int H, int ldw, float scale) {
  Embedding e = {word + (u64)ids[token] * ldw, position, type, H, scale};
  if (position) e.position += (u64)positions[token] * ldw;
  if (type) e.type += (u64)types[token] * ldw;
  return e;
}
