package launch

import "testing"

// TestOccupancy at what cuda_occupancy.h of CUDA 12.9 gives, for a device with
// 64 Ki registers and 164 or 228 KiB of shared memory a multiprocessor. Each
// line has one limit that decides.
func TestOccupancy(t *testing.T) {
	for _, c := range []struct{ sm, registers, threads, shared, want int }{
		{80, 32, 32, 0, 32},     // blocks
		{80, 16, 128, 0, 16},    // threads
		{80, 40, 33, 0, 24},     // a warp of one thread is a warp
		{80, 16, 1024, 0, 2},    // threads
		{80, 128, 128, 0, 4},    // registers
		{80, 41, 128, 0, 10},    // registers, by 256 a warp
		{80, 168, 128, 0, 3},    // a quarter has room for 3 warps, all four for 12
		{80, 255, 256, 0, 1},    // 8 warps
		{80, 40, 96, 0, 16},     // 12 warps a quarter, 48 by threes
		{80, 255, 288, 0, 0},    // 9 warps
		{80, 32, 128, 65536, 2}, // shared memory: 2 of 65 KiB
		{80, 32, 128, 54912, 3}, // 3 of 53.625
		{80, 32, 128, 54913, 2}, // rounded up to 128
		{80, 32, 32, 4224, 32},  // with the system's KiB 164/32
		{80, 32, 32, 4225, 31},
		{90, 32, 128, 65536, 3},  // 228 KiB
		{90, 32, 128, 232448, 1}, // all that a block may have
		{80, 32, 128, 232448, 0},
		{75, 32, 128, 0, 0}, // not known
	} {
		if got := Occupancy(c.sm, c.registers, c.threads, c.shared); got != c.want {
			t.Errorf("sm_%d, %d registers, %d threads, %d bytes: %d blocks, want %d", c.sm, c.registers, c.threads, c.shared, got, c.want)
		}
	}
}

// TestTilesFitAsPromised: the blocks that the table promises fit an H200 by
// shared memory and threads; registers are the compiler's.
func TestTilesFitAsPromised(t *testing.T) {
	for _, tile := range LinearTiles() {
		k := Make("linear", tile.Constants())
		if got := Occupancy(90, 0, k.Threads(), k.Shared()); got < tile.Blocks {
			t.Errorf("%s: %d blocks fit, the table says %d", tile.Name(), got, tile.Blocks)
		}
	}
}
