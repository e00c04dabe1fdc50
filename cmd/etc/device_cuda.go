package main

import (
	"strconv"

	"etc/executor"
	"etc/executor/cuda"
	"etc/executor/gpu"
	"etc/fault"
)

// openCUDA opens the GPU of that number, the first where it is empty.
func openCUDA(number string) (executor.Device, error) {
	n, err := strconv.Atoi(number)
	if number != "" && err != nil {
		return nil, fault.Newf(fault.Usage, "--device cuda:%s: want the number of a device", number)
	}
	d, err := cuda.Open(n)
	if err != nil {
		return nil, err
	}
	return gpu.New(d), nil
}
