#define THREADS 128
#define WARPS (THREADS / 32)
// The sum over all threads of the block, the same in all of them.
DEV float block_sum(float v, float* parts) {
  v = warp_sum(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  float s = 0;
#pragma unroll
  for (int i = 0; i < WARPS; i++) s += parts[i];
  return s;
}
