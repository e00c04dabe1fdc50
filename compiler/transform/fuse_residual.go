package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
)

// FuseResidual puts an addition into a linear that computes one of its
// operands:
//
//	x·Wᵀ + b + y = linear(x, W, b, residual y)
//
// A linear that nothing else reads is preferred; another is computed once
// more. It runs after fuse-skip-layernorm, which takes the additions before a
// norm, and leaves a sum of two values that are no linears, which no
// architecture has.
var FuseResidual = pass.Pass{
	Name: "fuse-residual",
	Doc:  "put additions into the linears before them",
	Run:  fuseResidual,
}

func fuseResidual(g *ir.Graph) int {
	fused := 0
	for _, add := range slices.Clone(g.Ops) {
		if add.Kind != ir.Add {
			continue
		}
		x, y := add.Arg("x"), add.Arg("y")
		if !takesResidual(x) || !ownLinear(g, x, add) && takesResidual(y) {
			x, y = y, x
		}
		if !takesResidual(x) {
			continue
		}
		lin := x.Def
		attrs := *lin.Attrs.(*ir.LinearAttrs)
		sum := g.NewBefore(add, ir.Linear, &attrs, lin.Label, lin.Arg("x"), lin.Arg("w"), lin.Arg("b"), y, lin.Arg("columns"))
		g.ReplaceUses(add.Result(), sum.Result())
		fused++
	}
	g.RemoveDead()
	return fused
}

func takesResidual(v *ir.Value) bool {
	return v.Def.Kind == ir.Linear && v.Def.Arg("residual") == nil
}
