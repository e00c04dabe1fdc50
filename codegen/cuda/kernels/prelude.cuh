// What every kernel starts with: storage types, the few PTX instructions that
// C++ has no word for, and sums over a warp and a block. No toolkit header is
// needed. Structural constants (DTYPE, tile sizes, ACT …) are defined above
// this text; see formats/plan/launch for what each family has.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEV static __device__ __forceinline__
#define KERNEL extern "C" __global__ void

// An element of activations and weights: the raw bits of an f16 (DTYPE 0) or
// bf16 (DTYPE 1) number.
typedef u16 elem;

struct alignas(16) Vec4 { u32 x, y, z, w; };
struct alignas(8) Vec2 { u32 x, y; };

// What a launch has to know of a batch, in device memory, so that one graph of
// launches serves every batch. formats/plan/launch says how it is filled.
struct Batch {
  int tokens;   // T
  int rows;     // B
  int tiles16;  // blocks of 16 queries
  int tiles64;  // blocks of 64 queries
};

// A block of queries: the row of the batch and its first query in that row.
struct Tile { int row, query; };

// ---- the kernel before and the kernel after ----

// Kernels of a graph run one after another, but from sm_90 on blocks of the
// next may start while this one computes (programmatic dependent launch). Every
// kernel calls after_previous: before it, a thread may read weights and counts,
// which no kernel writes, and nothing else; behind it all that earlier kernels
// wrote is there. start_next comes later, so that no more than one kernel waits:
// at once where this one is short, behind the sums where it is long, because
// blocks that start early fill the multiprocessors that this kernel leaves idle
// and not those that will be free. Without such a launch both do nothing.
DEV void after_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEV void start_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
DEV void begin() { after_previous(), start_next(); }

// Executors launch early only kernels whose module says that they wait.
#if defined(__CUDACC_RTC__) && __CUDA_ARCH__ >= 900
extern "C" __device__ u8 etc_kernels_wait;
__device__ u8 etc_kernels_wait;
#endif

// ---- storage ----

#if DTYPE == 1
DEV float to_float(elem e) { return __uint_as_float((u32)e << 16); }
DEV elem from_float(float f) { elem e; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(e) : "f"(f)); return e; }
// Two numbers in one register, the first in the lower half.
DEV u32 pack(float lo, float hi) { u32 r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo)); return r; }
#else
DEV float to_float(elem e) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(e)); return f; }
DEV elem from_float(float f) { elem e; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(e) : "f"(f)); return e; }
DEV u32 pack(float lo, float hi) { u32 r; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo)); return r; }
#endif
DEV float low(u32 pair) { return to_float((elem)(pair & 0xffffu)); }
DEV float high(u32 pair) { return to_float((elem)(pair >> 16)); }

// Element i of an activation that is stored as f32 (wide) or as elem.
template <bool wide> DEV float load(const void* p, u64 i) {
  if (wide) return ((const float*)p)[i];
  return to_float(((const elem*)p)[i]);
}
template <bool wide> DEV void store(void* p, u64 i, float v) {
  if (wide) ((float*)p)[i] = v;
  else ((elem*)p)[i] = from_float(v);
}

// ---- shared memory ----

// The one array of dynamic shared memory; each kernel lays out its own parts.
extern __shared__ __align__(128) u8 shared[];

DEV u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Copies 16 bytes to shared memory in the background; of the source only the
// first `bytes` are read, the rest becomes zero. cg: past the first-level cache.
DEV void copy_async(u32 to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
DEV void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most n of the groups committed last are still under way.
template <int n> DEV void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory"); }

// ---- tensor cores ----

// Four 8×8 matrices of 16-bit elements; lane l gives the address of row l%8 of matrix l/8.
DEV void load_matrices(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
DEV void load_matrices_transposed(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

#if DTYPE == 1
#define MMA_TYPES "f32.bf16.bf16.f32"
#else
#define MMA_TYPES "f32.f16.f16.f32"
#endif
// d += a·b: a is 16×16, b 16×8, d 16×8.
DEV void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col." MMA_TYPES " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- functions ----

DEV float exp2_approx(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

// The activations, in the numbering of plan.Act.
#define ACT_NONE 0
#define ACT_GELU 1
#define ACT_GELU_TANH 2
#define ACT_RELU 3
#define ACT_TANH 4
#ifdef ACT
#if ACT == ACT_GELU
// x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), Φ the normal distribution. −log2 Φ(−u) is
// a polynomial that is 1 at 0, so that Φ(0) is exact; its coefficients make the
// error of u·Φ(−u) smallest on 0..6, below 2⁻²³, and that of Φ(−u) alone below
// 2.2e-4 of it. Beyond, it grows, and the product is below 6e-9.
DEV float gelu(float x) {
  const float u = fabsf(x);
  float p = 6.691211638e-7f;
  p = p * u - 1.145991609e-5f;
  p = p * u + 4.309569704e-5f;
  p = p * u + 5.114657106e-4f;
  p = p * u - 7.597830612e-3f;
  p = p * u + 5.290540680e-2f;
  p = p * u + 4.590558410e-1f;
  p = p * u + 1.151125789f;
  p = p * u + 1.0f;
  return fmaxf(x, 0.0f) - u * exp2_approx(-p);
}
#endif
DEV float activate(float x) {
#if ACT == ACT_GELU
  return gelu(x);
#elif ACT == ACT_GELU_TANH
  return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
#elif ACT == ACT_RELU
  return fmaxf(x, 0.0f);
#elif ACT == ACT_TANH
  return tanhf(x);
#else
  return x;
#endif
}
#endif

// ---- sums ----

#define ALL_LANES 0xffffffffu

DEV float warp_sum(float v) {
#pragma unroll
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(ALL_LANES, v, o);
  return v;
}
DEV float warp_max(float v) {
#pragma unroll
  for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, o));
  return v;
}
