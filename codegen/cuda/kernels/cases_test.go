package kernels

import (
	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
)

// A testCase runs one kernel of a module on numbers of its own and gives an
// error for a finding of the simulator or a value that is not what it means.
type testCase struct {
	Name   string
	Kernel launch.Kernel
	Run    func(m *ptxsim.Module, o ptxsim.Options) error
}

// evaluate is the result of one operator in float64.
func evaluate(g *ir.Graph, op *ir.Op, in interp.Inputs) (*interp.Array, error) {
	g.Outputs = []ir.Output{{Name: "y", Value: op.Result()}}
	out, err := interp.Run(g, in)
	if err != nil {
		return nil, err
	}
	return out["y"], nil
}
