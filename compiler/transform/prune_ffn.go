package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// PruneFFN drops neurons between two linears. One that gives the same for
// every x adds a constant, one that nothing reads adds nothing:
//
//	W2·act(x·W1ᵀ + b1) + b2 = Σ_j W2[:,j]·act(x·W1[j,:]ᵀ + b1[j]) + b2
//	                        = Σ_live … + (b2 + Σ_constant W2[:,j]·act(b1[j]))
//
// Constant are j with a zero row of W1; j with a zero column of W2 goes too.
// It applies to any two linears with an activation or nothing between them,
// such as a pooler and its classifier, and not where something else reads
// what is between. Where no neuron is left, the result is its bias for every
// token. (docs/references.md R7)
var PruneFFN = pass.Pass{
	Name: "prune-ffn",
	Doc:  "drop neurons that are constant or unread",
	Run:  pruneFFN,
}

// A network is down(act(up(x))), with nothing else reading what is between.
type network struct {
	up, down *ir.Op
	between  *ir.Op // the activation between them, or nil
	act      ir.ActKind
}

func pruneFFN(g *ir.Graph) int {
	total := 0
	for {
		// What goes may leave zeros behind in the linears around it.
		pruned := pruneNetworks(g)
		if total += pruned; pruned == 0 {
			return total
		}
	}
}

func pruneNetworks(g *ir.Graph) int {
	pruned := 0
	for _, op := range slices.Clone(g.Ops) {
		if !slices.Contains(g.Ops, op) {
			continue
		}
		if n, ok := networkInto(g, op); ok {
			pruned += n.prune(g)
			g.RemoveDead()
		}
	}
	return pruned
}

// networkInto returns the network that ends in down.
func networkInto(g *ir.Graph, down *ir.Op) (n network, ok bool) {
	if down.Kind != ir.Linear || linearOf(down.Result()) == nil || down.Arg("columns") != nil || down.Arg("residual") == down.Arg("x") {
		return n, false
	}
	n.down = down
	x, reader := down.Arg("x"), down
	if x.Def.Kind == ir.Activation {
		n.between = x.Def
		n.act = x.Def.Attrs.(*ir.ActivationAttrs).Act
		if g.OnlyUser(x) != down {
			return n, false
		}
		x, reader = x.Def.Arg("x"), x.Def
	}
	n.up = linearOf(x)
	if n.up == nil || g.OnlyUser(x) != reader {
		return n, false
	}
	a := n.up.Attrs.(*ir.LinearAttrs)
	if a.Scaled != 0 || n.up.Arg("residual") != nil || a.Act != ir.NoAct && n.between != nil {
		return n, false
	}
	if n.between == nil {
		n.act = a.Act
	}
	return n, true
}

func (n network) prune(g *ir.Graph) int {
	constant := sparse.ZeroRows(valuesOf(n.up, "w"))
	gone := sparse.ZeroColumns(valuesOf(n.down, "w"))
	for j, c := range constant {
		gone[j] = gone[j] || c
	}
	kept := sparse.Kept(gone)
	if len(kept) == len(gone) {
		return 0
	}
	n.foldConstants(g, constant)
	if len(kept) == 0 {
		g.ReplaceUses(n.down.Result(), constantRows(g, n.down, n.up.Arg("x")).Result())
		return len(gone)
	}
	x := n.keep(g, kept)
	g.ReplaceUses(n.down.Result(), keepColumns(g, n.down, x, kept).Result())
	return len(gone) - len(kept)
}

// foldConstants adds what constant neurons give to the bias of down. Without
// a bias or an activation that makes something of zero there is nothing to add.
func (n network) foldConstants(g *ir.Graph, constant []bool) {
	h := biasOf(n.up)
	any := false
	for j, b := range h {
		h[j] = 0
		if constant[j] {
			h[j] = n.act.Apply(b)
		}
		any = any || h[j] != 0
	}
	if !any {
		return
	}
	sum := biasOf(n.down)
	for i, x := range timesVector(valuesOf(n.down, "w"), h) {
		sum[i] += x
	}
	n.down.SetArg("b", reweight(g, n.down, "b", vector(sum)))
}

// keep returns act(up(x)) of the listed neurons.
func (n network) keep(g *ir.Graph, kept []int) *ir.Value {
	x := keepRows(g, n.up, kept)
	if n.between == nil {
		return x
	}
	return g.NewBefore(n.between, ir.Activation, &ir.ActivationAttrs{Act: n.act}, n.between.Label, x).Result()
}
