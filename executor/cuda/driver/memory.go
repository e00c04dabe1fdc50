//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"

	"etc/fault"
)

// An Address is one in device memory.
type Address = cu.DevicePtr

// Memory is the bytes of the device that are free and in all.
func Memory() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, check("cuMemGetInfo", err)
}

// Alloc gives at least one byte of device memory, aligned to 256. The name is
// for the error: fault.Memory with the bytes that were needed and were free.
func Alloc(name string, bytes int64) (Address, error) {
	at, err := cu.MemAlloc(max(bytes, 1))
	if err = check("cuMemAlloc", err); fault.KindOf(err) == fault.Memory {
		free, total, _ := Memory()
		return 0, fault.Newf(fault.Memory, "cuda: %d bytes for %s, the device has %d free of %d", bytes, name, free, total)
	}
	return at, err
}

// Free gives memory of Alloc back.
func Free(at Address) error { return check("cuMemFree", cu.MemFree(at)) }

// AllocHost gives pinned memory of the host: copies from and to it are fast,
// and go on by themselves.
func AllocHost(bytes int) ([]byte, error) {
	var p unsafe.Pointer
	if err := result("cuMemHostAlloc", C.cuMemHostAlloc(&p, C.size_t(max(bytes, 1)), 0)); err != nil {
		return nil, fault.Newf(fault.KindOf(err), "%w, for %d bytes of the host", err, bytes)
	}
	return unsafe.Slice((*byte)(p), max(bytes, 1))[:bytes], nil
}

// FreeHost gives memory of AllocHost back.
func FreeHost(b []byte) error {
	return check("cuMemFreeHost", cu.MemFreeHost(unsafe.Pointer(unsafe.SliceData(b))))
}
