package prune

import (
	"context"
	"fmt"
	"slices"
)

// A scheme is a preset that a search may choose at any rung: all dials of the
// whole model turned alike, with the speed that the latency table has for tiles.
type scheme struct {
	name string
	edit *Edit
}

// rankSchemes makes those of E.T. They are where accuracy is looked for by the
// paper, and compete on the same terms as what a search allocates.
func (q *Quest) rankSchemes() error {
	for _, s := range []*structure{&ETTile, &ETAware1, &ETAware2} {
		m, err := MethodNamed(s.name)
		if err != nil {
			return err
		}
		e, err := m.rank(q.Dense, q.Stats)
		if err != nil {
			return err
		}
		q.schemes = append(q.schemes, scheme{m.Name, e})
	}
	return nil
}

// ofScheme is the candidate of a scheme that is just fast enough, or nil.
func (q *Quest) ofScheme(ctx context.Context, s scheme, wanted float64) (*Candidate, error) {
	for k := level(1); k < shares; k++ {
		ratios := q.tileSpeedups(1 - float64(k)/shares)
		if slices.Min(ratios) < wanted {
			continue
		}
		made := &Candidate{Name: s.name, Wanted: wanted, edit: s.edit, setting: s.edit.at(levels / shares * k), Speedups: ratios}
		return q.known(ctx, fmt.Sprint(s.name, k), made)
	}
	return nil, nil
}

// tileSpeedups are the ratios of the dense model's times to those of a model
// whose sublayers all keep this share of their tiles. Rows of W_V and columns of
// W_V·W_O count as tiles: they take no longer.
func (q *Quest) tileSpeedups(density float64) []float64 {
	dense, pruned := slices.Clone(q.Latency.Rest), slices.Clone(q.Latency.Rest)
	for i, m := range q.menus {
		us, last := q.Latency.FFNTilesTime(density), q.Latency.LastFFN
		if m.layer.attention != nil {
			us, last = q.Latency.AttentionTilesTime(density), q.Latency.LastAttention
		}
		if i >= len(q.menus)-2 {
			us = last(us)
		}
		addTo(pruned, us)
		addTo(dense, m.options[0].times)
	}
	for i := range dense {
		dense[i] /= pruned[i]
	}
	return dense
}
