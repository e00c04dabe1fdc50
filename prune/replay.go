package prune

import (
	"etc/fault"
	"etc/ir"
)

// Replay prunes g as a recipe says: the same entries go, and those that stay
// are repaired anew for g's own weights and statistics. g is another
// fine-tune of the recipe's model, with the same names and shapes; one that
// is not is fault.Corrupt. The criterion is that of the recipe's method, as
// far as it says what is repaired. calibrate may be nil.
func Replay(g *ir.Graph, stats *Statistics, r *Recipe, calibrate Calibrate) (*Recipe, error) {
	if r.Schema != recipeSchema {
		return nil, fault.Newf(fault.Corrupt, "recipe of schema %d, want %d: prune the first model again with this version", r.Schema, recipeSchema)
	}
	m, err := MethodNamed(r.Method)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "recipe: %w", err)
	}
	e, err := newEdit(g, stats, m.criterion)
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
	again, err := e.writeMarked(g, calibrate, nil)
	if err != nil {
		return nil, err
	}
	again.Method = m.Name
	return again, nil
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
