package prune_test

import (
	"testing"

	"etc/ir"
	"etc/prune"
	"etc/prune/linalg"
)

// TestOutputsCountByWhatTheyReach: what writes where the answers do not look
// goes first, though it is larger. By criteria that repair nothing it stays.
func TestOutputsCountByWhatTheyReach(t *testing.T) {
	const width = 64
	columns := func(i, j int) float64 { // a quarter of inputs writes to a quarter of outputs
		switch {
		case j >= width/4:
			return 1.0 / 8
		case i < width/4:
			return 5.0 / 16
		}
		return 1.0 / 1024
	}
	rows := func(i, _ int) float64 { // a quarter of outputs has larger weights
		if i < width/4 {
			return 9.0 / 64
		}
		return 1.0 / 8
	}
	in := func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].in }
	out := func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }
	o := func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].o }
	for _, c := range []struct {
		method  string
		product func(g *ir.Graph) *ir.Op
		rows    bool
		counts  bool // what outputs reach
	}{
		{"neurons", out, false, true},
		{"structured", out, false, true},
		{"structured:energy", out, false, true},
		{"columns", in, false, true},
		{"heads", o, false, true},
		{"heads:energy", o, false, true},
		{"tiles", out, true, true},
		{"tiles:obs", out, true, true},
		{"tiles", in, true, true},
		{"rows", out, true, true},
		{"neurons:flap", out, false, false},
		{"neurons:wanda", out, false, false},
		{"heads:magnitude", o, false, false},
		{"tiles:magnitude", out, true, false},
		{"rows:flap", out, true, false},
	} {
		t.Run(c.method, func(t *testing.T) {
			fill, m := columns, method(t, c.method)
			if c.rows {
				fill = rows
			}
			if m.Reaches() != c.counts {
				t.Errorf("it says %v", m.Reaches())
			}
			g := bertLike(width, 4, width, 1)
			product := c.product(g)
			change(product.Arg("w"), func(x []float64) {
				for at := range x {
					x[at] = fill(at/width, at%width)
				}
			})
			derivatives := linalg.New(2*width, width)
			for i := width / 4; i < width; i++ { // by all outputs but the first quarter
				derivatives.Set(2*i, i, 1)
				derivatives.Set(2*i+1, i, -1)
			}
			known := &prune.Statistics{Reach: &prune.Statistics{}}
			known.Reach.AddRows(product.Arg("w").WeightName(), derivatives)
			for _, stats := range []*prune.Statistics{{}, known} {
				pruned, _ := fixed(t, g, stats, m, 0.05)
				zeros, want := 0, stats == known && c.counts
				for at, x := range values(c.product(pruned), "w") {
					place := at % width
					if c.rows {
						place = at / width
					}
					if x == 0 {
						zeros++
						if (place < width/4) != want {
							t.Fatalf("derivatives known %v: entry %d,%d went", stats == known, at/width, at%width)
						}
					}
				}
				if zeros == 0 {
					t.Error("nothing went")
				}
			}
		})
	}
}
