package irtest

import (
	"math/rand/v2"

	"etc/ir"
	"etc/ir/interp"
)

// longest is the length of the longest random row: odd, over one 128 bucket.
const longest = 130

// limits is what the tables of a graph allow.
type limits struct {
	ids, types, positions int // tables' rows
	length                int // of a row
}

func limitsOf(g *ir.Graph) limits {
	l := limits{ids: longest, types: longest, positions: longest, length: longest}
	under := func(limit *int, list, table *ir.Value) {
		if list != nil && table != nil && list.Def.Kind == ir.Input {
			*limit = min(*limit, int(table.Type.Rows()))
		}
	}
	for _, op := range g.Ops {
		switch op.Kind {
		case ir.Embed, ir.EmbedLayerNorm:
			under(&l.ids, op.Arg("ids"), op.Arg("word"))
			under(&l.types, op.Arg("types"), op.Arg("type"))
			under(&l.positions, op.Arg("positions"), op.Arg("position"))
		case ir.LinearNLL:
			under(&l.ids, op.Arg("ids"), op.Arg("w"))
		case ir.Attention, ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention:
			if bias := op.Arg("bias"); bias != nil {
				l.length = min(l.length, (bias.Type.Width()+1)/2)
			}
		}
	}
	l.length = min(l.length, l.positions)
	return l
}

// RandomInputs is one to six rows of 1 to 130 tokens, most of them short,
// that the tables of g allow. Positions count from 0 in each row.
func RandomInputs(rng *rand.Rand, g *ir.Graph) interp.Inputs {
	limit := limitsOf(g).length
	lengths := make([]int, 1+rng.IntN(6))
	for i := range lengths {
		most := 12
		if rng.IntN(6) == 0 {
			most = longest
		}
		lengths[i] = 1 + rng.IntN(min(most, limit))
	}
	return InputsOf(rng, g, lengths...)
}

// InputsOf is RandomInputs with rows of the given lengths.
func InputsOf(rng *rand.Rand, g *ir.Graph, lengths ...int) interp.Inputs {
	l := limitsOf(g)
	in := interp.Inputs{Offsets: []int{0}, Extra: map[string]*interp.Array{}}
	for _, n := range lengths {
		for p := range n {
			in.IDs = append(in.IDs, rng.IntN(l.ids))
			in.Types = append(in.Types, rng.IntN(l.types))
			in.Positions = append(in.Positions, p)
		}
		in.Offsets = append(in.Offsets, len(in.IDs))
	}
	for _, op := range g.Ops {
		if op.Kind == ir.Input && op.Result().Type.DType.IsFloat() {
			rows := len(lengths)
			if op.Result().Type.Rows() == ir.T {
				rows = len(in.IDs)
			}
			width := op.Result().Type.Width()
			in.Extra[op.Attrs.(*ir.InputAttrs).Name] = &interp.Array{Shape: []int{rows, width}, F: normal(rng, rows*width, 1)}
		}
	}
	return in
}

// normal is n numbers of mean 0 and the given deviation, float32 values.
func normal(rng *rand.Rand, n int, deviation float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(rng.NormFloat64() * deviation))
	}
	return v
}
