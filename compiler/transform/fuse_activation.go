package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
)

// FuseActivation puts an activation into the linear before it:
//
//	act(x·Wᵀ + b) = linear(x, W, b, act)
//
// A linear that something else reads too is computed once more. It does not
// apply after another activation or a residual. It runs before fuse-residual,
// which adds after the activation.
var FuseActivation = pass.Pass{
	Name: "fuse-activation",
	Doc:  "put activations into the linears before them",
	Run:  fuseActivation,
}

func fuseActivation(g *ir.Graph) int {
	fused := 0
	for _, op := range slices.Clone(g.Ops) {
		if op.Kind != ir.Activation || op.Arg("x").Def.Kind != ir.Linear {
			continue
		}
		lin := op.Arg("x").Def
		attrs := *lin.Attrs.(*ir.LinearAttrs)
		if attrs.Act != ir.NoAct || lin.Arg("residual") != nil {
			continue
		}
		attrs.Act = op.Attrs.(*ir.ActivationAttrs).Act
		g.ReplaceUses(op.Result(), g.NewBefore(op, ir.Linear, &attrs, lin.Label, lin.Args...).Result())
		fused++
	}
	g.RemoveDead()
	return fused
}
