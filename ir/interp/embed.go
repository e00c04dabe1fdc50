package interp

import "etc/ir"

// embed is Scale·word[ids] + position[positions] + type[types]; Scale 0 means 1.
func embed(c *call) ([]*Array, error) {
	y, err := lookup(c, c.op.Attrs.(*ir.EmbedAttrs).Scale)
	return []*Array{y}, err
}

// embedLayerNorm is the layer norm of embed.
func embedLayerNorm(c *call) ([]*Array, error) {
	a := c.op.Attrs.(*ir.EmbedLayerNormAttrs)
	y, err := lookup(c, a.Scale)
	if err != nil {
		return nil, err
	}
	return one(norm(y, c.arg("gamma"), c.arg("beta"), a.Eps))
}

func lookup(c *call, scale float64) (*Array, error) {
	if scale == 0 {
		scale = 1
	}
	word := c.arg("word")
	y := zeros(len(c.arg("ids").I), word.width())
	tables := []struct {
		name, list string
		scale      float64
	}{{"word", "ids", scale}, {"position", "positions", 1}, {"type", "types", 1}}
	for _, table := range tables {
		rows := c.arg(table.name)
		if rows == nil {
			continue
		}
		for t, id := range c.arg(table.list).I {
			row, err := rows.entry(table.name, id)
			if err != nil {
				return nil, err
			}
			for i, v := range row {
				y.Row(t)[i] += table.scale * v
			}
		}
	}
	return y, nil
}
