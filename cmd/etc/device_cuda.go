package main

import (
	"etc/executor"
	"etc/fault"
)

// openCUDA opens the GPU of that number, the first where it is empty.
func openCUDA(number string) (executor.Device, error) {
	return nil, fault.Newf(fault.Unavailable, "--device cuda: this program has no such executor").WithHint("--device cpu runs the plan on the CPU")
}
