package prune

import (
	"cmp"
	"slices"

	"etc/fault"
	"etc/ir"
)

// Replay prunes g as a recipe says: the same entries go, and those that stay
// are repaired anew for g's own weights and statistics. g is another
// fine-tune of the recipe's model, with the same names, shapes and heads. A
// recipe of another model, or one whose marks do not fit together, is
// fault.Corrupt, and g is as it was. The criterion is that of the recipe's
// method, as far as it says what is repaired, and each stage is repaired in the way
// of the recipe; calibrate may be nil: then all of it is at once.
func Replay(g *ir.Graph, stats *Statistics, r *Recipe, calibrate Calibrate) (*Recipe, error) {
	if r.Schema != recipeSchema {
		return nil, fault.Newf(fault.Corrupt, "recipe of schema %d, want %d: prune the first model again with this version", r.Schema, recipeSchema)
	}
	m, err := MethodNamed(r.Method)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "recipe: %w", err)
	}
	e, err := newEdit(g, stats, m)
	if err != nil {
		return nil, err
	}
	if len(r.Matrices) != len(e.matrices) {
		return nil, fault.Newf(fault.Corrupt, "recipe for a model of %d matrices, this one has %d", len(r.Matrices), len(e.matrices))
	}
	for i, m := range e.matrices {
		of := &r.Matrices[i]
		if of.Weight != m.name || of.Shape != [2]int{m.n, m.k} {
			return nil, fault.Newf(fault.Corrupt, "recipe: weight %q %v stands where this model has %q [%d %d]", of.Weight, of.Shape, m.name, m.n, m.k)
		}
		if err := m.mark(of.Mask); err != nil {
			return nil, fault.Newf(fault.Corrupt, "recipe: weight %q: %w", m.name, err)
		}
	}
	if err := e.checkLayers(r.Layers); err != nil {
		return nil, err
	}
	w := &writer{Edit: e, g: g}
	if w.ways, err = e.waysIn(r.Matrices); err != nil {
		return nil, err
	}
	if calibrate != nil {
		w.rebuild = &Rebuild{Calibrate: calibrate}
	}
	return w.write()
}

// waysIn are the ways of all stages: those of their matrices that have one agree.
func (e *Edit) waysIn(records []Record) ([]way, error) {
	var all []way
	for _, l := range e.layers {
		for _, stage := range l.stages {
			said := way("")
			for i := range stage {
				r := &records[i]
				if r.Target != "" && r.Target != atOnce && !slices.Contains(ways, r.Target) || said != "" && r.Target != "" && r.Target != said {
					return nil, fault.Newf(fault.Corrupt, "recipe: weight %q: target %q, want what there is, and that of %q", r.Weight, r.Target, stage[0].name)
				}
				said = cmp.Or(said, r.Target)
			}
			all = append(all, cmp.Or(said, atOnce))
			records = records[len(stage):]
		}
	}
	return all, nil
}

// checkLayers compares what is marked with what a recipe says sublayers keep:
// heads of another number cut the same matrices in other places.
func (e *Edit) checkLayers(layers []Kept) error {
	if len(layers) != len(e.layers) {
		return fault.Newf(fault.Corrupt, "recipe for a model of %d sublayers, this one has %d", len(layers), len(e.layers))
	}
	for i, l := range e.layers {
		if !l.kept().equals(layers[i]) {
			return fault.Newf(fault.Corrupt, "recipe: %s: its masks do not keep in this model what it says is kept", l.label)
		}
		if !l.unreadIsUnread() {
			return fault.Newf(fault.Corrupt, "recipe: %s: a bias goes of an output that is still read", l.label)
		}
	}
	return nil
}

// equals compares all but the block's label.
func (k Kept) equals(o Kept) bool {
	if (k.Width == nil) != (o.Width == nil) || k.Width != nil && *k.Width != *o.Width {
		return false
	}
	return k.Of == o.Of && k.D == o.D && k.Dv == o.Dv && slices.Equal(k.Heads, o.Heads)
}

// unreadIsUnread tells whether nothing reads the outputs that are marked so.
func (l *sublayer) unreadIsUnread() bool {
	if l.ffn != nil {
		return l.out.leaves(l.in)
	}
	return l.o.leaves(l.v) && slices.Equal(l.q.unread, l.k.unread)
}

// leaves tells whether m leaves out the outputs of from that are marked as
// unread, and none of its own is.
func (m *matrix) leaves(from *matrix) bool {
	for i, gone := range from.unread {
		if gone && !m.columns[i] {
			return false
		}
	}
	return !slices.Contains(m.unread, true)
}

// mark marks what a recipe's mask says.
func (m *matrix) mark(from Mask) error {
	m.keepAll()
	for _, part := range []struct {
		text string
		to   *[]bool
		n    int
	}{{from.Rows, &m.rows, m.n}, {from.Unread, &m.unread, m.n}, {from.Columns, &m.columns, m.k}, {from.Entries, &m.entries, m.n * m.k}} {
		marks, err := decodeBits(part.text, part.n)
		if err != nil {
			return err
		}
		if marks != nil {
			*part.to = marks
		}
	}
	return nil
}
