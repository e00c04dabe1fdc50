#define ETC_MOST_ARGUMENTS 64

// etc_launch_early is cuLaunchKernel for blocks in one dimension, with count
// arguments of up to 8 bytes each. Blocks may start while the kernel before in
// the stream still runs.
CUresult etc_launch_early(CUfunction f, const unsigned *grid, unsigned threads, unsigned shared, CUstream stream,
	unsigned long long *args, int count);
