//go:build !linux

package pool

import "runtime"

// DefaultThreads is the number of CPUs.
func DefaultThreads() int { return runtime.NumCPU() }
