package prune

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"etc/ir"
	"etc/prune/latency"
)

// withTiles is the made-up table, with tiles that are quicker than anything else.
func withTiles() *latency.Table {
	t := times()
	for _, density := range []float64{0.25, 0.5, 0.75} {
		t.AttentionTiles = append(t.AttentionTiles, latency.TilesTime{Density: density, Micros: []float64{90 * density, 450 * density}})
		t.FFNTiles = append(t.FFNTiles, latency.TilesTime{Density: density, Micros: []float64{140 * density, 980 * density}})
	}
	return t
}

// TestQuestTriesSchemes: at the last rung each of E.T.'s is a candidate, no
// faster than it has to be; the one of least damage is found, and its recipe
// makes it again.
func TestQuestTriesSchemes(t *testing.T) {
	for _, best := range []string{"et-tile", "et-aware1", "et-aware2"} {
		w := newWorld(t)
		q := w.quest(99)
		q.Latency, q.Speedup, q.Search, q.Accept = withTiles(), 1.8, nil, nil
		q.Damage = func(_ context.Context, g *ir.Graph) (float64, error) {
			if schemeOf(g) == best {
				return 0, nil
			}
			return 1 + w.distance(g), nil
		}
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Candidate.Name != best || f.Recipe.Method != best {
			t.Errorf("found %s, its recipe %s, want %s", f.Candidate.Name, f.Recipe.Method, best)
		}
		if s := slices.Min(q.tileSpeedups(kept(f.Recipe))); !near(s, f.Candidate.Speedup(), 1e-9) {
			t.Errorf("%s is %v times as fast, said to be %v", best, s, f.Candidate.Speedup())
		}
		again := w.dense.Clone()
		if _, err := Replay(again, q.Stats, f.Recipe, nil); err != nil || !bytes.Equal(bytesOf(again), bytesOf(f.Graph)) {
			t.Errorf("%s: the recipe makes another model: %v", best, err)
		}
		for _, name := range []string{"et-tile", "et-aware1", "et-aware2"} {
			i := slices.IndexFunc(q.Tried, func(c *Candidate) bool { return c.Name == name })
			if i < 0 {
				t.Errorf("%s was not tried", name)
				continue
			}
			if s := q.Tried[i].Speedup(); s < q.Speedup || s > 1.15*q.Speedup {
				t.Errorf("%s is %v times as fast, want just %v", name, s, q.Speedup)
			}
		}
	}
}

// kept are the shares of their entries that sublayers keep by a recipe.
func kept(r *Recipe) []float64 {
	var all []float64
	records := r.Matrices
	for _, l := range r.Layers {
		n := 4
		if l.Width != nil {
			n = 2
		}
		zeros, entries := 0, 0
		for _, m := range records[:n] {
			zeros, entries = zeros+m.Zeros, entries+m.Shape[0]*m.Shape[1]
		}
		all, records = append(all, 1-float64(zeros)/float64(entries)), records[n:]
	}
	return all
}

// schemeOf tells E.T.'s schemes apart by what is gone of the first layer.
func schemeOf(g *ir.Graph) string {
	w := weightsOf(g)
	rows := func(name string, k int) (gone, cut int) {
		for row := range slices.Chunk(w[name], k) {
			switch zeros := len(row) - nonZeros(row); {
			case zeros == len(row):
				gone++
			case zeros > 0:
				cut++
			}
		}
		return gone, cut
	}
	_, cut := rows("layer.0.q.weight", hiddenWidth)
	gone, cutValues := rows("layer.0.v.weight", hiddenWidth)
	goneOutputs, _ := rows("layer.0.o.weight", headCount*headWidth)
	switch {
	case cut == 0:
		return ""
	case cutValues > 0:
		return "et-tile"
	case gone > 0:
		return "et-aware1"
	case goneOutputs > 0:
		return "et-aware2"
	}
	return ""
}

func nonZeros(row []float64) int {
	n := 0
	for _, x := range row {
		if x != 0 {
			n++
		}
	}
	return n
}

// TestSpeedsOfTiles: a density is as fast as the sublayers are that keep it,
// the last ones by their shares.
func TestSpeedsOfTiles(t *testing.T) {
	q := newWorld(t).quest(99)
	q.Latency = withTiles()
	if err := q.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Of both shapes: rest, one layer, the last layer at its shares.
	dense := []float64{4 + 2*(85+133), 20 + 1.8*(420+926)}
	kept := []float64{4 + 2*(45+70), 20 + 1.8*(225+490)}
	even := func(density float64) []float64 { return slices.Repeat([]float64{density}, 2*layerCount) }
	for s, got := range q.tileSpeedups(even(0.5)) {
		if want := dense[s] / kept[s]; !near(got, want, 1e-9) {
			t.Errorf("shape %d: %v, want %v", s, got, want)
		}
	}
	if got := q.tileSpeedups(even(1)); !near(got[0], 1, 1e-9) || !near(got[1], 1, 1e-9) {
		t.Errorf("with all tiles %v times as fast", got)
	}
	if strings.Join([]string{q.schemes[0].name, q.schemes[1].name, q.schemes[2].name}, " ") != "et-tile et-aware1 et-aware2" {
		t.Errorf("schemes %v", q.schemes)
	}
}
