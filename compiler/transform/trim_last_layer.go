package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
)

// TrimLastLayer computes only the rows that a head picks, where all that
// every run needs of a value is those rows. Picking rows moves up through
// operators that work row by row and through the queries of an attention:
//
//	select(f(x)) = f(select(x))
//	select(attention(q, k, v)) = attention(select(q), k, v), one query a row
//
// It stops where the full value is needed: at the input of the last layer,
// for keys and values, or higher up where a pooling or a loss reads it. What
// only outputs on demand need in full is computed apart, when it is asked
// for. A tap on a value that moved shows the picked rows, [B,H].
var TrimLastLayer = pass.Pass{
	Name: "trim-last-layer",
	Doc:  "compute only the rows that the head picks",
	Run: func(g *ir.Graph) int {
		return trim(g, ir.FirstRows) + trim(g, ir.LastRows)
	},
}

// A trimmer moves the picking of rows of one kind up.
type trimmer struct {
	g       *ir.Graph
	rows    ir.RowKind
	offsets *ir.Value
	full    map[*ir.Value]bool      // all rows are needed by every run
	picked  map[*ir.Value]*ir.Value // values, and their picked rows
	changed int
}

func trim(g *ir.Graph, rows ir.RowKind) int {
	t := &trimmer{g: g, rows: rows, full: fullDemand(g, rows), picked: map[*ir.Value]*ir.Value{}}
	for _, op := range slices.Clone(g.Ops) {
		if picks(op, rows) && t.full[op.Result()] && t.moves(op.Arg("x")) {
			t.offsets = op.Arg("offsets")
			g.ReplaceUses(op.Result(), t.pick(op.Arg("x")))
		}
	}
	for i, o := range g.Outputs {
		if by, ok := t.picked[o.Value]; ok && o.When == ir.Tap && t.moves(o.Value) {
			g.Outputs[i].Value = by
		}
	}
	g.RemoveDead()
	return t.changed
}

func picks(op *ir.Op, rows ir.RowKind) bool {
	return op.Kind == ir.SelectRows && op.Attrs.(*ir.SelectRowsAttrs).Rows == rows
}

// moves reports whether picking rows of v can move above its operator.
func (t *trimmer) moves(v *ir.Value) bool { return !t.full[v] && rowwise(v.Def) }

// rowwise reports whether a row of the result needs only that row of the
// operands, but for keys and values.
func rowwise(op *ir.Op) bool {
	switch op.Kind {
	case ir.Activation, ir.Add, ir.Gather, ir.Scatter, ir.LayerNorm, ir.Linear, ir.Normalize:
		return true
	case ir.Attention:
		return op.Attrs.(*ir.AttentionAttrs).Rows == ir.AllRows
	}
	return false
}

// isRows reports whether operand i of a row-wise operator has a row for each
// row of the result.
func isRows(op *ir.Op, i int) bool {
	if op.Kind == ir.Attention {
		return i == 0 // q
	}
	a := op.Args[i]
	return a != nil && a.Type.Rows() == ir.T
}

// pick returns the picked rows of v, [B, width].
func (t *trimmer) pick(v *ir.Value) *ir.Value {
	if v, ok := t.picked[v]; ok {
		return v
	}
	var by *ir.Value
	if t.moves(v) {
		by = t.twin(v.Def)
	} else {
		after := t.g.Ops[slices.Index(t.g.Ops, v.Def)+1] // there is one: something reads v
		hoist(t.g, after, t.offsets)
		by = t.g.NewBefore(after, ir.SelectRows, &ir.SelectRowsAttrs{Rows: t.rows}, v.Def.Label, v, t.offsets).Result()
	}
	t.picked[v] = by
	return by
}

// twin is op on the picked rows.
func (t *trimmer) twin(op *ir.Op) *ir.Value {
	args := slices.Clone(op.Args)
	for i := range args {
		if isRows(op, i) {
			args[i] = t.pick(args[i])
		}
	}
	attrs := op.Attrs
	if a, ok := attrs.(*ir.AttentionAttrs); ok {
		picked := *a
		picked.Rows = t.rows
		attrs = &picked
	}
	t.changed++
	return t.g.NewBefore(op, op.Kind, attrs, op.Label, args...).Result()
}

// fullDemand marks the values of which every run needs all rows. It goes from
// the outputs that are always computed up to the inputs.
func fullDemand(g *ir.Graph, rows ir.RowKind) map[*ir.Value]bool {
	full, some := map[*ir.Value]bool{}, map[*ir.Value]bool{}
	for _, o := range g.Outputs {
		if o.When == ir.Always {
			full[o.Value] = true
		}
	}
	for _, op := range slices.Backward(g.Ops) {
		all := slices.ContainsFunc(op.Results, func(v *ir.Value) bool { return full[v] })
		if !all && !slices.ContainsFunc(op.Results, func(v *ir.Value) bool { return some[v] }) {
			continue
		}
		for i, a := range op.Args {
			switch {
			case a == nil:
			case picks(op, rows) && i == 0, !all && rowwise(op) && isRows(op, i):
				some[a] = true
			default:
				full[a] = true
			}
		}
	}
	return full
}
