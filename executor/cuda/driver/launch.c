//go:build cuda && linux && amd64

// Launches with an attribute, which gorgonia.org/cu lacks. They are C because
// the driver takes pointers to pointers to arguments.

#include <cuda.h>

#include "launch.h"

CUresult etc_launch_early(CUfunction f, const unsigned *grid, unsigned threads, unsigned shared, CUstream stream,
	unsigned long long *args, int count)
{
	void *pointers[ETC_MOST_ARGUMENTS];
	for (int i = 0; i < count; i++)
		pointers[i] = &args[i];
	CUlaunchAttribute early = {
		.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
		.value = {.programmaticStreamSerializationAllowed = 1},
	};
	CUlaunchConfig config = {
		.gridDimX = grid[0], .gridDimY = grid[1], .gridDimZ = grid[2],
		.blockDimX = threads, .blockDimY = 1, .blockDimZ = 1,
		.sharedMemBytes = shared, .hStream = stream, .attrs = &early, .numAttrs = 1,
	};
	return cuLaunchKernelEx(&config, f, pointers, NULL);
}
