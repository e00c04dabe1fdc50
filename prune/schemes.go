package prune

import (
	"context"
	"fmt"
	"slices"
	"sort"
)

// A scheme is a preset that a search may choose at any rung: all dials of the
// whole model turned alike, with the speed that the latency table has for tiles.
type scheme struct {
	name string
	edit *Edit
}

// rankSchemes makes those of E.T. They are where accuracy is looked for by the
// paper, and compete on the same terms as what a search allocates.
func (q *Quest) rankSchemes(stats *Statistics) error {
	for _, s := range []*structure{&ETTile, &ETAware1, &ETAware2} {
		if q.stop(Step{stepScheme, 1, false}) {
			return nil
		}
		m, err := MethodNamed(s.name)
		if err != nil {
			return err
		}
		e, err := m.rank(q.Dense, stats)
		if err != nil {
			return err
		}
		q.schemes = append(q.schemes, scheme{m.Name, e})
	}
	return nil
}

// ofScheme is the candidate of a scheme that is just fast enough, or nil.
func (q *Quest) ofScheme(ctx context.Context, s scheme, wanted float64) (*Candidate, error) {
	at := func(k int) Setting { return s.edit.at(levels / shares * level(k)) }
	k := sort.Search(shares, func(k int) bool { return slices.Min(q.tileSpeedups(s.edit.densities(at(k)))) >= wanted })
	if k == shares {
		return nil, nil
	}
	made := &Candidate{Name: s.name, Wanted: wanted, edit: s.edit, setting: at(k), Speedups: q.tileSpeedups(s.edit.densities(at(k)))}
	return q.known(ctx, fmt.Sprint(s.name, k), made)
}

// densities are the shares of its entries that each sublayer keeps at a setting.
func (e *Edit) densities(s Setting) []float64 {
	zeros := e.zerosOf(s)
	var all []float64
	for _, l := range e.layers {
		gone, entries := 0, 0
		for _, m := range l.matrices() {
			gone, entries = gone+zeros[m], entries+m.n*m.k
		}
		all = append(all, 1-float64(gone)/float64(entries))
	}
	return all
}

// tileSpeedups are the ratios of the dense model's times to those of a model
// whose sublayers keep these shares of their tiles. Rows of W_V and columns of
// W_V·W_O count as tiles: they take no longer.
func (q *Quest) tileSpeedups(densities []float64) []float64 {
	dense, pruned := slices.Clone(q.Latency.Rest), slices.Clone(q.Latency.Rest)
	for i, m := range q.menus {
		us := q.Latency.FFNTilesTime(densities[i])
		if m.layer.attention != nil {
			us = q.Latency.AttentionTilesTime(densities[i])
		}
		addTo(pruned, q.edit.placed(i, us, q.Latency))
		addTo(dense, m.options[0].times)
	}
	for i := range dense {
		dense[i] /= pruned[i]
	}
	return dense
}
