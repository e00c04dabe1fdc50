// Package ptxsim runs CUDA kernels without a card: an interpreter of PTX with
// detectors of what goes wrong only sometimes on a card.
//
// PTX text enters through Parse, which refuses what it does not know. Launch
// runs a kernel over the memory of a Device; what detectors find is its error,
// with the place in the .cu that -lineinfo gives.
//
// # Order
//
// The threads of a warp go in step. Where their ways part, those furthest
// behind in the text go first, until all are at one place again. The warps of
// a block run one after the other, each up to its next barrier, in either
// order; so do blocks. cp.async lands at once or when it is waited for. The
// detectors compare accesses whatever the order, so that one run finds the
// races of all orders for its input.
//
// # Detectors
//
// Shared memory has a shadow mark for each 2 bytes, which says who wrote and
// read them since the last barrier and whether a copy is under way. Global
// memory has one for each 2 bytes that a launch writes and each 16 that it
// reads, which says what block did so. Between the blocks of a launch nothing
// orders accesses; between threads of a block, those to global memory are not
// watched. A mark of 2 bytes is shared by two 1-byte elements.
//
// # Numbers
//
// mma takes exact products of f16 or bf16 and sums them in float32, each sum
// rounded to nearest even: of the 16 products of a result, in the order of k,
// s0 to s3 are the sums of four each, from the left, and the result is
// c + ((s0+s1) + (s2+s3)). mma.sp does so with the 16 that are stored. Tensor
// cores sum in another order and cut off bits instead of rounding, so that
// results agree to float32 tolerances, not to the bit. The .approx functions
// are as near as float32 allows. A NaN that arithmetic makes may differ in bits.
package ptxsim
