package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
)

// FuseSkipLayerNorm makes one operator of an addition and a norm of the sum:
//
//	s = x + y, layernorm(s) = skip_layernorm(x, y) → (s, norm)
//
// Both results may be used: in a pre-norm model the sum is the next residual.
// x is the operand that a linear computed for it, where one is, since that
// may come condensed later (condense-output-rows).
var FuseSkipLayerNorm = pass.Pass{
	Name: "fuse-skip-layernorm",
	Doc:  "fuse the addition of a residual with the norm of the sum",
	Run:  fuseSkipLayerNorm,
}

func fuseSkipLayerNorm(g *ir.Graph) int {
	fused := 0
	for _, norm := range slices.Clone(g.Ops) {
		if norm.Kind != ir.LayerNorm || norm.Arg("x").Def.Kind != ir.Add {
			continue
		}
		add := norm.Arg("x").Def
		x, residual := add.Arg("x"), add.Arg("y")
		if !ownLinear(g, x, add) && ownLinear(g, residual, add) {
			x, residual = residual, x
		}
		// The sum may be read before the norm's place: fuse at the addition's.
		hoist(g, add, norm.Arg("gamma"), norm.Arg("beta"))
		attrs := *norm.Attrs.(*ir.LayerNormAttrs)
		skip := g.NewBefore(add, ir.SkipLayerNorm, &attrs, norm.Label, x, residual, norm.Arg("gamma"), norm.Arg("beta"))
		g.ReplaceUses(add.Result(), skip.Results[0])
		g.ReplaceUses(norm.Result(), skip.Results[1])
		fused++
	}
	g.RemoveDead()
	return fused
}

// ownLinear reports whether v is a linear that only user reads, once.
func ownLinear(g *ir.Graph, v *ir.Value, user *ir.Op) bool {
	return v.Def.Kind == ir.Linear && g.OnlyUser(v) == user && user.Arg("x") != user.Arg("y")
}

// hoist moves weights and inputs that stand after at before it.
func hoist(g *ir.Graph, at *ir.Op, sources ...*ir.Value) {
	for _, v := range sources {
		from, to := slices.Index(g.Ops, v.Def), slices.Index(g.Ops, at)
		if from > to {
			g.Ops = slices.Insert(slices.Delete(g.Ops, from, from+1), to, v.Def)
		}
	}
}
