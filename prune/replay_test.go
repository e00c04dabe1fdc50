package prune_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/irtest"
	"etc/prune"
)

// written is a recipe as JSON.
func written(t *testing.T, r *prune.Recipe) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read is a recipe from JSON.
func read(t *testing.T, b []byte) *prune.Recipe {
	t.Helper()
	r := &prune.Recipe{}
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReplayRepeats: on the same weights and statistics a recipe makes the same
// bytes, and itself again.
func TestReplayRepeats(t *testing.T) {
	eachMethod(t, 4, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, rng.IntN(2) == 0)
		stats, _ := calibrate(t, g, irtest.InputsOf(rng, g, 1, 5, 3))
		if rng.IntN(3) == 0 {
			stats = nil
		}
		c, r := fixed(t, g, stats, m, 0.3*rng.Float64())
		if c == nil {
			return
		}
		again := g.Clone()
		r2, err := prune.Replay(again, stats, read(t, written(t, r)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.Verify(again, ir.Model); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(bytesOf(again), bytesOf(c)) {
			t.Error("the weights differ")
		}
		if !bytes.Equal(written(t, r2), written(t, r)) {
			t.Errorf("the recipe became\n%s\nwas\n%s", written(t, r2), written(t, r))
		}
	})
}

// TestReplayOnAnotherFineTune keeps the same, and repairs it for the weights
// that are there: its outputs are nearer to those of that model than with
// zeros alone.
func TestReplayOnAnotherFineTune(t *testing.T) {
	for _, name := range []string{"structured", "widths", "rows", "tiles", "nm", "elements:flap", "tiles:magnitude"} {
		rng := rand.New(rand.NewPCG(1, 10))
		m := method(t, name)
		_, r := fixed(t, bertLike(32, 2, 64, 2), nil, m, 0.25)
		g := bertLike(32, 2, 64, 2)
		for _, b := range blocksOf(g) {
			for _, op := range b.all {
				for _, v := range []*ir.Value{op.Arg("w"), op.Arg("b")} {
					change(v, func(x []float64) {
						for i := range x {
							x[i] = rng.NormFloat64()
						}
						x[0] = 0 // a zero of its own
					})
				}
			}
		}
		before := bytesOf(g)
		known, seen := mixedStatistics(rng, g)
		stats := map[bool]*prune.Statistics{true: known}
		c := map[bool]*ir.Graph{}
		for _, known := range []bool{false, true} {
			c[known] = g.Clone()
			again, err := prune.Replay(c[known], stats[known], read(t, written(t, r)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if again.Method != m.Name || again.Sparsity < r.Sparsity || string(written(t, &prune.Recipe{Layers: again.Layers})) != string(written(t, &prune.Recipe{Layers: r.Layers})) {
				t.Errorf("%s: recipe %s of sparsity %v, want %v", name, again.Method, again.Sparsity, r.Sparsity)
			}
			at := 0
			for i, b := range blocksOf(c[known]) {
				for j, op := range b.all {
					if again.Matrices[at].Mask != r.Matrices[at].Mask {
						t.Errorf("%s: %s has another mask", name, r.Matrices[at].Weight)
					}
					checkMask(t, blocksOf(g)[i].all[j], op, again.Matrices[at])
					at++
				}
			}
		}
		if !bytes.Equal(bytesOf(g), before) {
			t.Errorf("%s: bytes that a clone shares were written", name)
		}
		zeros, repaired := missed(g, c[false], seen), missed(g, c[true], seen)
		if name == "tiles:magnitude" {
			if repaired != zeros {
				t.Errorf("%s repairs", name)
			}
		} else if !(repaired < 0.95*zeros) {
			t.Errorf("%s: outputs miss by %v, with zeros alone by %v", name, repaired, zeros)
		}
	}
}

// TestNarrowedQueriesAreMixed: those of narrower heads take over what went,
// with a pass of their own; without a repair they stay as they were.
func TestNarrowedQueriesAreMixed(t *testing.T) {
	g := bertLike(32, 2, 64, 1)
	stats, _ := mixedStatistics(rand.New(rand.NewPCG(2, 10)), g)
	for name, mixed := range map[string]bool{"widths": true, "widths:flap": false} {
		wanted, c := map[string]bool{}, g.Clone()
		if _, err := prune.Fixed(c, stats, method(t, name), 0.2, rebuilding(func(_ bool, name string, _ [][]float32) { wanted[name] = true })); err != nil {
			t.Fatal(err)
		}
		before, after := blocksOf(g)[0].q, blocksOf(c)[0].q
		if changed := differ(before, after, "w", func(x float64) bool { return x != 0 }); changed != mixed || wanted["layer.0.q.weight"] != mixed {
			t.Errorf("%s: queries changed: %v, their inputs were wanted: %v", name, changed, wanted["layer.0.q.weight"])
		}
	}
}

// mixedStatistics are those of inputs of every product that share much and have
// means, and the rows by product.
func mixedStatistics(rng *rand.Rand, g *ir.Graph) (*prune.Statistics, map[*ir.Op][][]float32) {
	stats, seen := &prune.Statistics{}, map[*ir.Op][][]float32{}
	for _, b := range blocksOf(g) {
		for _, op := range b.all {
			_, k := shape(op)
			mix := normalRows(rng, k/4, k)
			for _, from := range normalRows(rng, 4*k, k/4) {
				row := make([]float32, k)
				for j := range row {
					row[j] = 1 + 0.1*float32(rng.NormFloat64())
					for c, x := range from {
						row[j] += x * mix[c][j]
					}
				}
				stats.Add(op.Arg("w").WeightName(), row)
				seen[op] = append(seen[op], row)
			}
		}
	}
	return stats, seen
}

// missed is the square by which the outputs of the last products of blocks,
// for the inputs that dense ones saw, differ from the dense ones'.
func missed(dense, pruned *ir.Graph, seen map[*ir.Op][][]float32) float64 {
	sum := 0.0
	after := blocksOf(pruned)
	for i, b := range blocksOf(dense) {
		was, now := b.all[len(b.all)-1], after[i].all[len(b.all)-1]
		n, k := shape(was)
		w, v, c, d := values(was, "w"), values(now, "w"), values(was, "b"), values(now, "b")
		for _, x := range seen[was] {
			for o := range n {
				off := d[o] - c[o]
				for j, in := range x {
					off += (v[o*k+j] - w[o*k+j]) * float64(in)
				}
				sum += off * off
			}
		}
	}
	return sum
}

// packed are the bits of a mask that begins with these bytes.
func packed(b ...byte) string {
	var to bytes.Buffer
	w, _ := flate.NewWriter(&to, flate.BestCompression)
	w.Write(b)
	w.Close()
	return base64.StdEncoding.EncodeToString(to.Bytes())
}

// TestReplayRefuses recipes of other models and forged ones, and leaves the
// graph as it was.
func TestReplayRefuses(t *testing.T) {
	small := func() *ir.Graph { return bertLike(32, 2, 64, 2) }
	set := func(i int, f func(m *prune.Record)) func(r *prune.Recipe) {
		return func(r *prune.Recipe) { f(&r.Matrices[i]) }
	}
	const q, k, v, o, in, out = 0, 1, 2, 3, 4, 5
	no := func(*prune.Recipe) {}
	_, r := fixed(t, small(), nil, method(t, "structured"), 0.5)
	good := written(t, r)
	if len(r.Layers[0].Heads) != 1 || *r.Layers[1].Width == 64 {
		t.Fatalf("layers %+v: the recipe shows little", r.Layers)
	}
	if _, err := prune.Replay(small(), nil, read(t, good), nil); err != nil {
		t.Fatal(err)
	}
	all32 := packed(0xff, 0xff, 0xff, 0xff)
	for name, c := range map[string]struct {
		of    func() *ir.Graph // that the recipe is replayed on
		forge func(r *prune.Recipe)
		text  string
	}{
		"more layers":   {func() *ir.Graph { return bertLike(32, 2, 64, 3) }, no, "recipe for a model of 12 matrices, this one has 18"},
		"fewer layers":  {func() *ir.Graph { return bertLike(32, 2, 64, 1) }, no, "recipe for a model of 12 matrices, this one has 6"},
		"other widths":  {func() *ir.Graph { return bertLike(32, 2, 96, 2) }, no, `weight "layer.0.in.weight" [64 32] stands where this model has "layer.0.in.weight" [96 32]`},
		"other hidden":  {func() *ir.Graph { return bertLike(64, 2, 64, 2) }, no, `weight "layer.0.q.weight" [32 32] stands where`},
		"more heads":    {func() *ir.Graph { return bertLike(32, 4, 64, 2) }, no, "layer 0 attention: its masks do not keep in this model"},
		"old schema":    {small, func(r *prune.Recipe) { r.Schema = 1 }, "recipe of schema 1, want 3"},
		"no schema":     {small, func(r *prune.Recipe) { r.Schema = 0 }, "recipe of schema 0"},
		"later schema":  {small, func(r *prune.Recipe) { r.Schema = 4 }, "recipe of schema 4"},
		"no schema yet": {small, func(r *prune.Recipe) { r.Schema = -1 }, "recipe of schema -1"},
		"no method":     {small, func(r *prune.Recipe) { r.Method = "" }, `recipe: pruning method ""`},
		"other method":  {small, func(r *prune.Recipe) { r.Method = "magic" }, `recipe: pruning method "magic"`},
		"criterion":     {small, func(r *prune.Recipe) { r.Method = "tiles:magic" }, `recipe: criterion "magic"`},
		"nothing":       {small, func(r *prune.Recipe) { r.Matrices = nil }, "recipe for a model of 0 matrices"},
		"one missing":   {small, func(r *prune.Recipe) { r.Matrices = r.Matrices[:11] }, "recipe for a model of 11 matrices"},
		"unknown name":  {small, set(v, func(m *prune.Record) { m.Weight = "encoder.v" }), `weight "encoder.v" [32 32] stands where this model has "layer.0.v.weight"`},
		"no name":       {small, set(v, func(m *prune.Record) { m.Weight = "" }), `weight "" [32 32] stands where`},
		"other order": {small, func(r *prune.Recipe) { r.Matrices[q], r.Matrices[k] = r.Matrices[k], r.Matrices[q] },
			`weight "layer.0.k.weight" [32 32] stands where this model has "layer.0.q.weight"`},
		"negative shape": {small, set(in, func(m *prune.Record) { m.Shape = [2]int{-64, -32} }), "[-64 -32] stands where"},
		"turned shape":   {small, set(in, func(m *prune.Record) { m.Shape = [2]int{32, 64} }), "[32 64] stands where"},
		"short rows":     {small, set(o, func(m *prune.Record) { m.Mask.Rows = packed(1, 2, 3) }), `weight "layer.0.o.weight": mask of 3 bytes`},
		"long rows":      {small, set(o, func(m *prune.Record) { m.Mask.Rows = packed(1, 2, 3, 4, 5) }), "mask of 5 bytes, want the bits of 32 entries"},
		"long columns":   {small, set(out, func(m *prune.Record) { m.Mask.Columns = packed(make([]byte, 1<<20)...) }), "want the bits of 64 entries"},
		"short entries":  {small, set(q, func(m *prune.Record) { m.Mask.Entries = packed(make([]byte, 32*4-1)...) }), "want the bits of 1024 entries"},
		"no base64":      {small, set(q, func(m *prune.Record) { m.Mask.Unread = "%" }), `weight "layer.0.q.weight": mask: illegal base64`},
		"no deflate":     {small, set(q, func(m *prune.Record) { m.Mask.Entries = "////" }), `weight "layer.0.q.weight": mask of`},
		"no sublayers":   {small, func(r *prune.Recipe) { r.Layers = nil }, "recipe for a model of 0 sublayers, this one has 4"},
		"heads that went": {small, func(r *prune.Recipe) { r.Layers[2].Heads = []int{-1, 99} },
			"layer 1 attention: its masks do not keep in this model what it says is kept"},
		"negative d":      {small, func(r *prune.Recipe) { r.Layers[2].D = -16 }, "layer 1 attention: its masks"},
		"other heads":     {small, func(r *prune.Recipe) { r.Layers[2].Of = 4 }, "layer 1 attention: its masks"},
		"other dv":        {small, func(r *prune.Recipe) { r.Layers[2].Dv++ }, "layer 1 attention: its masks"},
		"no width":        {small, func(r *prune.Recipe) { r.Layers[3].Width = nil }, "layer 1 ffn: its masks"},
		"negative width":  {small, func(r *prune.Recipe) { *r.Layers[3].Width = -1 }, "layer 1 ffn: its masks"},
		"width of heads":  {small, func(r *prune.Recipe) { r.Layers[2].Width = r.Layers[3].Width }, "layer 1 attention: its masks"},
		"unread outputs":  {small, set(out, func(m *prune.Record) { m.Mask.Unread = all32 }), "layer 0 ffn: a bias goes of an output that is still read"},
		"unread sums":     {small, set(o, func(m *prune.Record) { m.Mask.Unread = packed(0, 0, 0, 0x80) }), "layer 0 attention: a bias goes"},
		"keys of queries": {small, set(k, func(m *prune.Record) { m.Mask.Unread = packed(1, 0, 0, 0) }), "layer 0 attention: a bias goes"},
		"read neurons":    {small, set(out, func(m *prune.Record) { m.Mask.Columns = "" }), "layer 0 ffn: a bias goes"},
		"read values":     {small, set(o, func(m *prune.Record) { m.Mask.Columns = "" }), "layer 0 attention: a bias goes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, good)
			g := c.of()
			c.forge(r)
			before := bytesOf(g)
			again, err := prune.Replay(g, nil, r, nil)
			checkFault(t, err, fault.Corrupt, c.text)
			if again != nil || !bytes.Equal(bytesOf(g), before) {
				t.Error("the graph changed")
			}
		})
	}
}

// FuzzReplay: of what is no recipe of the model nothing is pruned, and what is
// one prunes what its masks say.
func FuzzReplay(f *testing.F) {
	dense := bertLike(32, 2, 32, 1)
	stats := normalStatistics(dense, nothingBad)
	for _, m := range prune.Methods() {
		g := dense.Clone()
		r, err := prune.Fixed(g, stats, m, 0.1, nil)
		if err != nil {
			f.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"schema": 3, "method": "tiles"}`))
	before := bytesOf(dense)
	f.Fuzz(func(t *testing.T, text []byte) {
		var r prune.Recipe
		if json.Unmarshal(text, &r) != nil {
			return
		}
		g := dense.Clone()
		again, err := prune.Replay(g, stats, &r, nil)
		if err != nil {
			if fault.KindOf(err) != fault.Corrupt || again != nil || !bytes.Equal(bytesOf(g), before) {
				t.Fatalf("error %v of kind %d, or the graph changed", err, fault.KindOf(err))
			}
			return
		}
		at := 0
		for i, b := range blocksOf(g) {
			for j, op := range b.all {
				checkMask(t, blocksOf(dense)[i].all[j], op, r.Matrices[at])
				at++
			}
		}
	})
}
