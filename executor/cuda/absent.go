//go:build !(cuda && linux && amd64)

package cuda

import (
	"etc/executor/gpu"
	"etc/fault"
)

// Available reports whether this program has the GPU executor in it.
func Available() bool { return false }

// Open opens a device by its number, from 0. Here it is fault.Unavailable.
func Open(int) (gpu.Driver, error) {
	return nil, fault.Newf(fault.Unavailable, "cuda: this etc was built without the GPU executor").
		WithHint("make cuda builds bin/etc-cuda, which has it, on linux/amd64")
}
