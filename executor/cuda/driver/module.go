//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
import "C"

import (
	"bytes"
	"unsafe"

	"gorgonia.org/cu"

	"etc/fault"
)

// A Module is loaded code.
type Module struct{ module cu.Module }

// A Function is a kernel of a module.
type Function struct{ function cu.Function }

// logSize is the room for what the driver's compiler says of bad code.
const logSize = 8 << 10

// LoadModule loads machine code or PTX. Code that does not fit the device or
// the driver is fault.Unfit, with what the driver's compiler says.
func LoadModule(image []byte) (Module, error) {
	log := make([]byte, logSize)
	m, err := cu.LoadDataEx(string(image), &cu.JITErrorLogBuffer{Buffer: log})
	err = check("cuModuleLoadDataEx", err)
	said, _, _ := bytes.Cut(log, []byte{0})
	if said = bytes.TrimSpace(said); err != nil && len(said) > 0 {
		err = fault.Newf(fault.KindOf(err), "%w: %s", err, said)
	}
	if Code(err) == C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION {
		major, minor := Version()
		err = fault.Newf(fault.Unfit, "%w", err).WithHint("the driver is of CUDA %d.%d; a newer one takes this PTX", major, minor)
	}
	return Module{m}, err
}

// Function finds a kernel by its name.
func (m Module) Function(name string) (Function, error) {
	f, err := m.module.Function(name)
	return Function{f}, check("cuModuleGetFunction", err)
}

// Unload gives the module back.
func (m Module) Unload() error { return check("cuModuleUnload", m.module.Unload()) }

// waiting is the variable of prelude.cuh that says that kernels wait.
const waiting = "etc_kernels_wait"

// Waits reports whether the kernels of m wait for the kernel before them, so
// that they may be launched early.
func (m Module) Waits() (bool, error) {
	_, _, err := m.module.Global(waiting)
	if err = check("cuModuleGetGlobal", err); Code(err) == NotFound {
		return false, nil
	}
	return err == nil, err
}

// handle is f as these functions take it: cu.Function is the handle alone.
func (f Function) handle() C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&f.function)) }

// AllowShared lets f be launched with that much dynamic shared memory, in
// bytes, which is needed for more than 48 KiB.
func (f Function) AllowShared(bytes int) error {
	return result("cuFuncSetAttribute", C.cuFuncSetAttribute(f.handle(), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes)))
}
