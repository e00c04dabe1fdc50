package kernels

import (
	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// A testCase runs one kernel of a module on numbers of its own and gives an
// error for a finding of the simulator or a value that is not what it means.
type testCase struct {
	Name   string
	Kernel launch.Kernel
	Run    func(m *ptxsim.Module, o ptxsim.Options) error
}
