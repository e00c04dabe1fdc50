package cpu

import "etc/formats/plan"

// Operands of embed; embed_layernorm has gamma and beta behind them.
const (
	embedIDs = iota
	embedPositions
	embedTypes
	embedWord
	embedPosition
	embedType
	embedGamma
	embedBeta
)

// embedder returns a function that writes the embedding of a group's token t into y.
func (d *Device) embedder(s *plan.Step) func(g *group, y []float32, t int) {
	table := func(i int) (rows []float32, width int) {
		if s.Args[i].Kind == plan.None {
			return nil, 0
		}
		w := &d.weights[s.Args[i].Index]
		return w.floats, w.width
	}
	word, width := table(embedWord)
	position, _ := table(embedPosition)
	types, _ := table(embedType)
	scale := float32(1)
	if s.Params.Scale != 0 {
		scale = float32(s.Params.Scale)
	}
	row := func(rows []float32, i int32) []float32 { return rows[int(i)*width : (int(i)+1)*width] }
	return func(g *group, y []float32, t int) {
		var p, k []float32
		if position != nil {
			p = row(position, g.Positions[t])
		}
		if types != nil {
			k = row(types, g.Types[t])
		}
		d.table.EmbedRow(y, row(word, g.IDs[t]), p, k, scale)
	}
}

func (d *Device) bindEmbed(s *plan.Step) step {
	embed := d.embedder(s)
	return d.rowwise(s, s.Results[0], func(g *group, _, from, to int) {
		y := d.output(g, s, 0)
		for t := from; t < to; t++ {
			embed(g, y.Row(t), t)
		}
	})
}

func (d *Device) bindEmbedLayerNorm(s *plan.Step) step {
	embed := d.embedder(s)
	gamma, beta, eps := d.vector(s, embedGamma), d.vector(s, embedBeta), float32(s.Params.Eps)
	return d.rowwise(s, s.Results[0], func(g *group, _, from, to int) {
		y := d.output(g, s, 0)
		for t := from; t < to; t++ {
			row := y.Row(t)
			embed(g, row, t)
			d.table.LayerNorm(row, row, gamma, beta, eps)
		}
	})
}
