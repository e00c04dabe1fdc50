//go:build cuda && linux && amd64

package driver

// #cgo LDFLAGS: -L${SRCDIR}/link -ldl
// #include <cuda.h>
// #include "shim.h"
import "C"

import (
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"etc/fault"
)

var opening sync.Mutex

// Open loads the driver and starts it. Before that, every function here fails.
// Where there is no driver, or none that starts, it is fault.Unavailable. To
// open it again does nothing.
func Open() error {
	opening.Lock()
	defer opening.Unlock()
	why := (*C.char)(C.calloc(reasonSize, 1))
	defer C.free(unsafe.Pointer(why))
	if C.etc_driver_load(why, reasonSize) == 0 {
		return fault.Newf(fault.Unavailable, "cuda: no NVIDIA driver: %s", C.GoString(why)).
			WithHint("a GPU needs NVIDIA's driver on this machine; --device cpu needs nothing")
	}
	if code := C.cuInit(0); code != C.CUDA_SUCCESS {
		return failure("cuInit", int(code)).of(fault.Unavailable)
	}
	return nil
}

const reasonSize = 1000

// Version is the newest CUDA that the driver serves, such as 12.9.
func Version() (major, minor int) {
	v := cu.Version()
	return v / 1000, v % 1000 / 10
}

// Count is how many devices there are.
func Count() (int, error) {
	n, err := cu.NumDevices()
	return n, check("cuDeviceGetCount", err)
}
