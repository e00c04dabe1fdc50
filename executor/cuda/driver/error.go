//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
import "C"

import (
	"errors"
	"fmt"

	"gorgonia.org/cu"

	"etc/fault"
)

// An Error is what a function of the driver answered instead of success.
type Error struct {
	Call string // the function, such as cuMemAlloc
	Code int    // a CUresult
	Text string // the driver's words
}

func (e *Error) Error() string { return fmt.Sprintf("cuda: %s: %s", e.Call, e.Text) }

// failure makes the error of a code other than success.
func failure(call string, code int) *Error {
	var name, text *C.char
	C.cuGetErrorName(C.CUresult(code), &name)
	C.cuGetErrorString(C.CUresult(code), &text)
	switch {
	case text != nil && name != nil:
		return &Error{call, code, fmt.Sprintf("%s (%s)", C.GoString(text), C.GoString(name))}
	case code == C.CUDA_ERROR_NOT_INITIALIZED:
		return &Error{call, code, "the driver is not open"}
	case code == C.CUDA_ERROR_NOT_FOUND:
		return &Error{call, code, "not in this driver, or not in the module"}
	}
	return &Error{call, code, fmt.Sprintf("error %d", code)}
}

// of is e as a fault of kind k.
func (e *Error) of(k fault.Kind) *fault.Error { return fault.Newf(k, "%w", e) }

// result is nil for success, else the error of a code with its kind.
func result(call string, code C.CUresult) error {
	if code == C.CUDA_SUCCESS {
		return nil
	}
	e := failure(call, int(code))
	return e.of(kindOf(e.Code))
}

// kindOf is whose fault a code is.
func kindOf(code int) fault.Kind {
	switch code {
	case C.CUDA_ERROR_OUT_OF_MEMORY:
		return fault.Memory
	case C.CUDA_ERROR_NOT_INITIALIZED, C.CUDA_ERROR_NO_DEVICE, C.CUDA_ERROR_INVALID_DEVICE, C.CUDA_ERROR_DEVICE_UNAVAILABLE,
		C.CUDA_ERROR_STUB_LIBRARY, C.CUDA_ERROR_SYSTEM_NOT_READY, C.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
		C.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
		return fault.Unavailable
	case C.CUDA_ERROR_INVALID_IMAGE, C.CUDA_ERROR_NO_BINARY_FOR_GPU, C.CUDA_ERROR_INVALID_PTX, C.CUDA_ERROR_INVALID_SOURCE,
		C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION, C.CUDA_ERROR_JIT_COMPILER_NOT_FOUND, C.CUDA_ERROR_JIT_COMPILATION_DISABLED:
		return fault.Unfit
	}
	return fault.Internal
}

// check turns an error of gorgonia.org/cu into one of this package.
func check(call string, err error) error {
	if err == nil {
		return nil
	}
	code, ok := codeOf(cu.Success, err)
	if !ok {
		return fmt.Errorf("cuda: %s: %w", call, err)
	}
	return result(call, C.CUresult(code))
}

// codeOf is the code of an error of gorgonia.org/cu, whose type has no name
// outside of it: that of its constant for success stands for it.
func codeOf[T interface {
	~int
	error
}](_ T, err error) (int, bool) {
	e, ok := errors.AsType[T](err)
	return int(e), ok
}

// NotFound is the code for a name that is not there.
const NotFound = int(cu.NotFound)

// Code is the driver's code in err, or 0.
func Code(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}
