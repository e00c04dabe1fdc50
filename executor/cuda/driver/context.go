//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
import "C"

import (
	"runtime"

	"gorgonia.org/cu"
)

// A Context is a device that was opened. All memory, modules, streams and
// events belong to one, and are made and used within its Do.
type Context struct {
	Name   string
	SM     int // compute capability, ten times over
	SMs    int // multiprocessors
	Shared int // most bytes of dynamic shared memory of a block

	device  cu.Device
	context cu.CUContext
}

// NewContext opens a device by its number, from 0.
func NewContext(device int) (*Context, error) {
	d, err := cu.GetDevice(device)
	if err != nil {
		return nil, check("cuDeviceGet", err)
	}
	c := &Context{device: d}
	if c.Name, err = d.Name(); err != nil {
		return nil, check("cuDeviceGetName", err)
	}
	var major, minor int
	for _, a := range []struct {
		of cu.DeviceAttribute
		to *int
	}{
		{cu.ComputeCapabilityMajor, &major}, {cu.ComputeCapabilityMinor, &minor},
		{cu.MultiprocessorCount, &c.SMs}, {C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &c.Shared},
	} {
		if *a.to, err = d.Attribute(a.of); err != nil {
			return nil, check("cuDeviceGetAttribute", err)
		}
	}
	c.SM = 10*major + minor
	c.context, err = d.RetainPrimaryCtx()
	return c, check("cuDevicePrimaryCtxRetain", err)
}

// Do calls f on a thread on which c is the context.
func (c *Context) Do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(c.context); err != nil {
		return check("cuCtxSetCurrent", err)
	}
	return f()
}

// Close gives the device back.
func (c *Context) Close() error {
	return check("cuDevicePrimaryCtxRelease", c.device.ReleasePrimaryCtx())
}
