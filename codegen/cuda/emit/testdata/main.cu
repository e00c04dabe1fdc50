// Tiny Model, compiled for sm_90:f16 by etc 0.0.0.
//
// One row of 3 ids goes through the model: allocate and fill memory, launch the
// kernels in order, compare the answer with the CPU's. Each launch stands under
// the operator of the graph that it computes; graph.ir has the whole graph.
// ./build.sh builds it. Run it as ./main in this folder: exit 0 says that all
// answers are the CPU's.

#include "support.cuh"

// ---- kernels ----

// Each is in the file of its name, which says what the pointers point to.
extern "C" __global__ void embed(void* count, void* ids, void* positions, void* types, void* word, void* position, void* type, void* y, int H, int ldw, int ldy, float scale);
extern "C" __global__ void linear_bk64_bm128_bn128_out321_stages3_wm64_wn64(void* count, void* x, void* w, void* bias, void* residual, void* columns, void* y, int N, int K, int ldx, int ldw, int ldr, int ldy, int scaled, float scale);

// ---- memory ----

static char* w_words;
static char* w_a_b;
static char* w_a_b_2;
static char* activations;
static char* batch;

// Weights, in the order of weights.bin.
static const Piece weights[] = {
  {&w_words, 160, "words"},
  {&w_a_b, 64, "a.b"},
  {&w_a_b_2, 4, "a\"b"},
};

// What the batch and the results of kernels are written to.
static const Piece others[] = {
  {&activations, 4096, "activations"},
  {&batch, 1024, "batch"},
};

// ---- the batch ----

// 32-bit numbers: how many tokens and rows there are, and blocks of 16 and of 64
// queries; then lists, with zeros between and behind them.
static void upload_batch() {
  std::vector<char> block(1024);
  put(block, 0, {3, 1, 1, 1}); // tokens, rows, blocks of 16 queries, blocks of 64
  put(block, 256, {7, 0, -1}); // ids
  check(cudaMemcpy(batch, block.data(), block.size(), cudaMemcpyHostToDevice), "batch");
}

// ---- launches ----

static void run() {
  check(cudaFuncSetAttribute(linear_bk64_bm128_bn128_out321_stages3_wm64_wn64, cudaFuncAttributeMaxDynamicSharedMemorySize, 98304), "linear_bk64_bm128_bn128_out321_stages3_wm64_wn64");

  // %2 = embed(%1, _, _, %0, _, _) "embeddings" : f32[T,8]
  embed<<<dim3(64, 1, 1), 128, 0>>>(
      /*count*/ batch, /*ids*/ batch + 256, /*positions*/ nullptr, /*types*/ nullptr, /*word*/ w_words, /*position*/ nullptr, /*type*/ nullptr, /*y*/ activations,
      /*H*/ 8, /*ldw*/ 8, /*ldy*/ 32, /*scale*/ 1.0f);
  check(cudaGetLastError(), "embeddings embed");

  check(cudaMemcpyAsync(activations + 64, activations, 64, cudaMemcpyDeviceToDevice), "a copy");

  // %4 = linear(%2, %3, _, _, _) "head" : f32[T,4]
  linear_bk64_bm128_bn128_out321_stages3_wm64_wn64<<<dim3(1, 2, 3), 128, 98304>>>(
      /*count*/ batch, /*x*/ activations, /*w*/ w_a_b, /*bias*/ w_a_b_2, /*residual*/ nullptr, /*columns*/ nullptr, /*y*/ activations + 128,
      /*N*/ 4, /*K*/ 8, /*ldx*/ 32, /*ldw*/ 8, /*ldr*/ 0, /*ldy*/ 16, /*scaled*/ 0, /*scale*/ 1e-12f);
  check(cudaGetLastError(), "head linear");

  check(cudaDeviceSynchronize(), "run");
}

// ---- answers ----

// logits, as the CPU computed it in float32.
static const float answer0[] = {
  1.0f, -0.5f, 3e-07f, 4.0f,
};

int main() {
  for (const Piece& p : weights) allocate(p);
  for (const Piece& p : others) allocate(p);
  read_pieces("weights.bin", weights, sizeof weights / sizeof *weights);
  upload_batch();
  run();
  bool good = true;
  good &= compare({"logits", activations + 128, 2, 2, 64, F32}, answer0, 0.25);
  puts(good ? "all answers are the CPU's" : "answers differ");
  return good ? 0 : 1;
}
