//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
// #include "launch.h"
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"

	"etc/fault"
)

// A Stream is a queue of the device. What is put in is done in order, later,
// beside what is in other streams. Host memory must be of AllocHost.
type Stream struct{ stream cu.Stream }

// An Event is a place in a stream.
type Event struct{ event cu.Event }

// NewStream makes a stream.
func NewStream() (Stream, error) {
	s, err := cu.MakeStream(cu.NonBlocking)
	return Stream{s}, check("cuStreamCreate", err)
}

// NewEvent makes an event, which has happened until it is recorded.
func NewEvent() (Event, error) {
	e, err := cu.MakeEvent(cu.DisableTiming)
	return Event{e}, check("cuEventCreate", err)
}

// CopyIn copies b to the device.
func (s Stream) CopyIn(to Address, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return check("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(to, unsafe.Pointer(unsafe.SliceData(b)), int64(len(b)), s.stream))
}

// CopyOut fills b from the device.
func (s Stream) CopyOut(b []byte, from Address) error {
	if len(b) == 0 {
		return nil
	}
	return check("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(b)), from, int64(len(b)), s.stream))
}

// Copy copies within the device.
func (s Stream) Copy(to, from Address, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	return check("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(to, from, bytes, s.stream))
}

// Launch runs f on a grid of blocks of threads, with bytes of dynamic shared
// memory. The driver takes as much of each argument, from its low end, as f
// declares.
func (s Stream) Launch(f Function, grid [3]int, threads, shared int, args []uint64) error {
	pointers := make([]unsafe.Pointer, len(args))
	for i := range args {
		pointers[i] = unsafe.Pointer(&args[i])
	}
	return check("cuLaunchKernel", f.function.Launch(grid[0], grid[1], grid[2], threads, 1, 1, shared, s.stream, pointers))
}

// LaunchEarly is Launch of a kernel whose blocks may start while the kernel
// before it in s still runs: of a module that Waits. It needs compute capability
// 9.0 and, in a capture, a driver of CUDA 12.3.
func (s Stream) LaunchEarly(f Function, grid [3]int, threads, shared int, args []uint64) error {
	if len(args) > C.ETC_MOST_ARGUMENTS {
		return fault.Newf(fault.Internal, "bug: driver: a launch with %d arguments", len(args))
	}
	var g [3]C.uint
	for i, n := range grid {
		g[i] = C.uint(n)
	}
	return result("cuLaunchKernelEx", C.etc_launch_early(f.handle(), &g[0], C.uint(threads), C.uint(shared), s.handle(),
		(*C.ulonglong)(unsafe.Pointer(unsafe.SliceData(args))), C.int(len(args))))
}

// Record makes e the place after all that is in s now.
func (s Stream) Record(e Event) error { return check("cuEventRecord", e.event.Record(s.stream)) }

// Wait lets what comes into s later begin when e has happened.
func (s Stream) Wait(e Event) error { return check("cuStreamWaitEvent", s.stream.Wait(e.event, 0)) }

// Synchronize returns when all in s is done, with an error where some of it failed.
func (s Stream) Synchronize() error { return check("cuStreamSynchronize", s.stream.Synchronize()) }

// Destroy gives s back.
func (s *Stream) Destroy() error { return check("cuStreamDestroy", s.stream.Destroy()) }

// Synchronize returns when e has happened, with an error where something before it failed.
func (e Event) Synchronize() error { return check("cuEventSynchronize", e.event.Synchronize()) }

// Destroy gives e back.
func (e *Event) Destroy() error { return check("cuEventDestroy", cu.DestroyEvent(&e.event)) }
