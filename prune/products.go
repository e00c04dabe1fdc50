package prune

import (
	"etc/fault"
	"etc/ir"
)

// Products are the linears of a sublayer, each with a weight [n,k] that is
// data: four around an attention operator, or two around an activation.
type Products struct {
	Around     *ir.Op
	Q, K, V, O *ir.Op // nil in a feed-forward block
	In, Out    *ir.Op // act(x·Inᵀ+b)·Outᵀ; nil in an attention
}

// Sublayers finds those of the encoder blocks of g, in the order of the model.
// g is as a frontend makes it; one with a fused operator, or with an attention
// without products of its own, is fault.Unsupported.
func Sublayers(g *ir.Graph) ([]Products, error) {
	var all []Products
	for _, op := range g.Ops {
		switch {
		case !op.Kind.Is(ir.Model) || isFused(op):
			return nil, fault.Newf(fault.Unsupported, "prune: %s: operator %v is fused; want a graph as imported", op.Label, op.Kind)
		case op.Kind == ir.Attention:
			p := Products{Around: op, Q: op.Args[0].Def, K: op.Args[1].Def, V: op.Args[2].Def, O: g.OnlyUser(op.Result())}
			if !feeds(g, p.Q, op) || !feeds(g, p.K, op) || !feeds(g, p.V, op) || !isProduct(p.O) {
				return nil, fault.Newf(fault.Unsupported, "prune: %s: %v without products of its own around it", op.Label, op.Kind)
			}
			all = append(all, p)
		case op.Kind == ir.Activation:
			p := Products{Around: op, In: op.Args[0].Def, Out: g.OnlyUser(op.Result())}
			// In a task head there is no second product with a residual behind it.
			if feeds(g, p.In, op) && isProduct(p.Out) && feedsAdd(g, p.Out) {
				all = append(all, p)
			}
		}
	}
	if len(all) == 0 {
		return nil, fault.Newf(fault.Unsupported, "prune: the model has no encoder block")
	}
	return all, nil
}

// isFused reports whether a linear is more than x·Wᵀ + b.
func isFused(op *ir.Op) bool {
	return op.Kind == ir.Linear && (*op.Attrs.(*ir.LinearAttrs) != ir.LinearAttrs{} || op.Arg("residual") != nil || op.Arg("columns") != nil)
}

func isProduct(op *ir.Op) bool {
	if op == nil || op.Kind != ir.Linear {
		return false
	}
	w, ok := op.Arg("w").Data()
	return ok && w.Data != nil
}

// feeds tells whether a product is read by op alone.
func feeds(g *ir.Graph, product, op *ir.Op) bool {
	return isProduct(product) && g.OnlyUser(product.Result()) == op
}

func feedsAdd(g *ir.Graph, product *ir.Op) bool {
	next := g.OnlyUser(product.Result())
	return next != nil && next.Kind == ir.Add
}
