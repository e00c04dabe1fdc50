package launch

// A multiprocessor is what blocks share on the devices of one compute
// capability; table "Technical Specifications per Compute Capability" of the
// CUDA C++ programming guide, and cuda_occupancy.h of the CUDA toolkit.
type multiprocessor struct {
	sm      int
	threads int
	blocks  int
	shared  int // bytes
}

var multiprocessors = []multiprocessor{
	{80, 2048, 32, 164 << 10},
	{90, 2048, 32, 228 << 10},
}

// Of both: registers lie in four parts, one for each scheduler, and a warp gets
// them in one of the parts, by 256. A block's shared memory is a multiple of
// 128 bytes, and the system takes 1 KiB of its own for each block.
const (
	partRegisters = 64 << 10 / parts
	parts         = 4
	registerUnit  = 256
	sharedUnit    = 128
	systemShared  = 1 << 10
)

// Occupancy is how many blocks of so many threads a multiprocessor of compute
// capability sm holds at once, where a thread has that many registers and a
// block that many bytes of shared memory, static and dynamic. It is 0 where
// not one fits, or sm is not known.
func Occupancy(sm, registers, threads, shared int) int {
	for _, m := range multiprocessors {
		if m.sm == sm && threads > 0 {
			warps := ceil(threads, warpLanes)
			perWarp := ceil(max(1, registers)*warpLanes, registerUnit) * registerUnit
			perBlock := ceil(shared, sharedUnit)*sharedUnit + systemShared
			return min(m.blocks, m.threads/(warps*warpLanes), partRegisters/perWarp*parts/warps, m.shared/perBlock)
		}
	}
	return 0
}
