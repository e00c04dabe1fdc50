// uses sparse.cuh
// Block-sparse linear: y = act(s·(x[:, columns]·wᵀ + bias)) + residual, where w
// has only some of its 16×16 tiles and s is `scale` for the first `scaled`
// outputs and 1 for the others.
//
// x is [count][ldx], residual [count][ldr], y [count][ldy]; bias f32[N],
// columns i32[K]. bias and residual may be null, and so may columns where
// GATHER is 0: x then has K columns. tiles holds the kept tiles of w by rows of
// tiles, each [16 outputs][16 inputs]; index[r][p] says which of the four tiles
// of panel p, 64 inputs, row r of tiles has (the lowest four bits), and how many
// tiles come before them (the other bits).
//
// A block computes BM rows of x by ROWS rows of tiles. It walks over the panels
// in which any of those has a tile and keeps STAGES of them in shared memory:
// the inputs that any of them needs, which all share, and the tiles. So x is
// read from memory once for ROWS·16 outputs. Each warp multiplies all tiles with
// its WM rows of x: all warps have the same work, however the tiles lie.
//
// Each output is one float32 sum over the tiles it has, inputs ascending: the
// bits of the dense product whose other tiles are zero.
//
// Grid: x blocks of rows, y blocks of outputs. Constants: DTYPE; BM ROWS WM
// STAGES; ACT; R32, OUT32: residual, y are f32; GATHER.

#define THREADS (BM / WM * 32)
#define BLOCKS (WM / 16)  // of 16 rows of x in a warp
#define TILE_BYTES 512
#define PANEL_TILES 4
#define STAGE_BYTES (PANEL_BYTES + ROWS * PANEL_TILES * TILE_BYTES)

// Blocks that are to fit on a multiprocessor with their registers.
#if WM * ROWS >= 256
#define MIN_BLOCKS 2
#else
#define MIN_BLOCKS 3
#endif

// The address of 16 bytes of a tile in shared memory, in bytes: half of the 16
// inputs of a row. The exclusive or puts the eight rows that are read at one
// time into different banks.
DEV u32 place_in_tile(u32 row, u32 half) { return row * 32 + (half ^ row / 4 % 2) * 16; }
// The output that lies in a row. A tensor core gives a thread two neighbouring
// outputs of 8. So that it gets four neighbours out of two products, product j,
// of rows 8j and on, takes those two of every four that start at 2j.
DEV u32 output_of_row(u32 row) { return row % 8 / 2 * 4 + row / 8 * 2 + row % 2; }

// The tiles that one block of the grid has, 32 panels at a time: lane l holds
// the index of panel first+l.
struct Walk {
  u32 index[ROWS];
  u32 pending;  // bit l: panel first+l is needed and still to come
  int first, next;
};

// Reads the index until a panel is needed or all are read. The same in all threads.
DEV void look_ahead(Walk& w, const u32* index, int row, int rows, int panels) {
  while (!w.pending && w.next < panels) {
    w.first = w.next;
    w.next += 32;
    const int panel = w.first + threadIdx.x % 32;
    u32 any = 0;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      w.index[r] = panel < panels && row + r < rows ? index[(u64)(row + r) * panels + panel] : 0;
      any |= w.index[r];
    }
    w.pending = __ballot_sync(ALL_LANES, (any & 15) != 0);
  }
}

// Starts the copies of the kept tiles of one panel of one row of tiles: a warp copies a tile at once.
DEV void copy_tiles(u32 to, const elem* tiles, u32 index) {
  // A lane fills the lane'th 16 bytes: neighbours write into different banks.
  const u32 lane = threadIdx.x % 32, row = lane / 2, half = lane % 2 ^ row / 4 % 2;
  const elem* from = tiles + (u64)(index >> PANEL_TILES) * (TILE_BYTES / 2) + output_of_row(row) * 16 + half * 8;
  const u32 at = to + lane * 16;
#pragma unroll
  for (int t = 0; t < PANEL_TILES; t++)
    if (index >> t & 1) {
      copy_async(at + t * TILE_BYTES, from, 16);
      from += TILE_BYTES / 2;
    }
}

// The union of the rows' four bits each.
DEV u32 any_row(u32 kept) {
  kept |= kept >> 16;
  kept |= kept >> 8;
  return (kept | kept >> 4) & 15;
}

// Adds a panel: bit 4r+t of kept says whether row r has tile t. at_x and at_w
// are this lane's places, `from` is the stage.
DEV void multiply(float (&sums)[BLOCKS][ROWS][2][4], u32 from, u32 at_x, u32 at_w, u32 kept) {
  const u32 any = any_row(kept);
#pragma unroll
  for (int t = 0; t < PANEL_TILES; t++) {
    if (!(any >> t & 1)) continue;
    u32 x[BLOCKS][4];
#pragma unroll
    for (int i = 0; i < BLOCKS; i++) load_matrices(x[i], from + (at_x ^ t * 32) + i * 16 * PANEL * 2);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      if (!(kept >> (4 * r + t) & 1)) continue;
      u32 w[4];
      load_matrices(w, from + at_w + (r * PANEL_TILES + t) * TILE_BYTES);
#pragma unroll
      for (int i = 0; i < BLOCKS; i++) {
        multiply_add(sums[i][r][0], x[i], w[0], w[1]);
        multiply_add(sums[i][r][1], x[i], w[2], w[3]);
      }
    }
  }
}

// Finishes the sums of a warp, whose first row and output are given. They go
// through shared memory, each thread's its own, so that a loop can count
// through them: an activation is long, and its code stands here once.
DEV void finish_all(const Results& to, const float (&sums)[BLOCKS][ROWS][2][4], int row0, int n0) {
  float* own = (float*)shared + threadIdx.x * 4;
  const u32 lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < ROWS; r++)
#pragma unroll
    for (int line = 0; line < BLOCKS * 2; line++) {
      const int i = line / 2, half = line % 2 * 2;
      const Four f = {sums[i][r][0][half], sums[i][r][0][half + 1], sums[i][r][1][half], sums[i][r][1][half + 1]};
      store_four(own + (r * BLOCKS * 2 + line) * THREADS * 4, f);
    }
#pragma unroll 2
  for (u32 at = 0; at < ROWS * BLOCKS * 2; at++) {
    const u32 r = at / (BLOCKS * 2), line = at % (BLOCKS * 2);
    finish(to, row0 + line * 8 + lane / 4, n0 + r * 16 + lane % 4 * 4, load_four(own + at * THREADS * 4));
  }
}

KERNEL __launch_bounds__(THREADS, MIN_BLOCKS)
ENTRY(const int* __restrict__ count, const elem* __restrict__ x, const u32* __restrict__ index,
      const elem* __restrict__ tiles, const float* __restrict__ bias, const void* __restrict__ residual,
      const int* __restrict__ columns, void* __restrict__ y, int N, int K, int ldx, int ldr, int ldy, int scaled,
      float scale) {
  after_previous();
  const Inputs in = {x, columns, *count, ldx, K};
  const int row0 = blockIdx.x * BM, tile_row = blockIdx.y * ROWS, tile_rows = (N + 15u) / 16;
  if (row0 >= in.count || tile_row >= tile_rows) return;
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int panels = (K + PANEL - 1u) / PANEL;
  const u32 stages = shared_address(shared);

  Walk walk = {};
  // Starts the copies of the next panel into a stage; gives the tiles kept there, 0 for none.
  auto fetch = [&](int stage) {
    look_ahead(walk, index, tile_row, tile_rows, panels);
    u32 kept = 0;
    if (walk.pending) {
      const int at = __popc((walk.pending & -walk.pending) - 1);  // of its lowest bit
      walk.pending &= walk.pending - 1;
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const u32 own = __shfl_sync(ALL_LANES, walk.index[r], at);
        kept |= (own & 15) << 4 * r;
        if (r % (THREADS / 32) == warp)
          copy_tiles(stages + stage * STAGE_BYTES + PANEL_BYTES + r * PANEL_TILES * TILE_BYTES, tiles, own);
      }
      copy_panel<THREADS>(shared + stage * STAGE_BYTES, in, row0, walk.first + at, any_row(kept));
    }
    copy_commit();
    return kept;
  };

  // Of the four matrices that a lane's eight read, x: rows 0-7 and 8-15, then
  // the same of the next piece; w: both halves of product 0, then of product 1.
  const u32 at_x = place_in_panel(warp * WM + lane % 16, lane / 16);
  const u32 at_w = PANEL_BYTES + place_in_tile(lane / 16 * 8 + lane % 8, lane / 8 % 2);

  float sums[BLOCKS][ROWS][2][4] = {};
  u32 kept[STAGES];  // of the stages from the one at hand on
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) kept[s] = fetch(s);
  for (int stage = 0; kept[0];) {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this stage has arrived, and all are done with the one before it
    kept[STAGES - 1] = fetch(stage ? stage - 1 : STAGES - 1);
    multiply(sums, stages + stage * STAGE_BYTES, at_x, at_w, kept[0]);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) kept[s] = kept[s + 1];
    stage = stage + 1 < STAGES ? stage + 1 : 0;
  }
  start_next();
  __syncthreads();
  finish_all({bias, residual, y, in.count, N, ldr, ldy, scaled, scale}, sums, row0 + warp * WM, tile_row * 16);
}
