package prune

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"etc/fault"
	"etc/ir"
)

// lots is a damage that hangs on every bit of a graph in no order.
func lots(g *ir.Graph) float64 {
	h := fnv.New64a()
	h.Write(bytesOf(g))
	return float64(h.Sum64() >> 11)
}

// TestReplayOfASearch: a recipe that a search wrote, with heads and widths of its
// own in every sublayer and stages repaired in all ways, makes the same model.
func TestReplayOfASearch(t *testing.T) {
	targets := map[way]int{}
	for speed := 1.4; speed < 2.8; speed += 0.2 {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup = speed
		q.Calibrate = calibrator(t, w.dense)
		q.Damage = func(_ context.Context, g *ir.Graph) (float64, error) { return lots(g), nil }
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range f.Recipe.Matrices {
			targets[m.Target]++
		}
		text, err := json.Marshal(f.Recipe)
		if err != nil {
			t.Fatal(err)
		}
		var r Recipe
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		g := w.dense.Clone()
		again, err := Replay(g, q.Stats, &r, q.Calibrate)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(g), bytesOf(f.Graph)) {
			t.Error("the weights differ")
		}
		if text2, err := json.Marshal(again); err != nil || !bytes.Equal(text2, text) {
			t.Errorf("the recipe became\n%s\nwas\n%s", text2, text)
		}
	}
	for _, way := range append(ways, atOnce) {
		if targets[way] == 0 {
			t.Errorf("no matrix of any recipe is repaired by %q: the examples show less than they should", way)
		}
	}
}

// TestTargetsThatDoNotFit: a way that there is not, or two in one stage, are refused.
func TestTargetsThatDoNotFit(t *testing.T) {
	dense := encoder()
	m, err := MethodNamed("heads")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Fixed(dense.Clone(), statistics(t, dense), m, 0.1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, targets := range [][2]way{{"backwards", ""}, {toDense, toTeacher}, {atOnce, toWhole}} {
		r.Matrices[0].Target, r.Matrices[2].Target = targets[0], targets[1]
		if _, err := Replay(dense.Clone(), nil, r, nil); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%q: error %v", targets, err)
		}
	}
	r.Matrices[0].Target, r.Matrices[2].Target = toTeacher, toTeacher
	if _, err := Replay(dense.Clone(), nil, r, nil); err != nil {
		t.Error(err)
	}
}

// TestReplayOfAnyMarks: whatever the masks say, all of a matrix included, they
// are refused for a bias that would go, or are what is zero afterwards.
func TestReplayOfAnyMarks(t *testing.T) {
	dense := encoder()
	stats := statistics(t, dense)
	m, err := MethodNamed("structured")
	if err != nil {
		t.Fatal(err)
	}
	refused, taken := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		e, err := newEdit(dense, stats, m)
		if err != nil {
			t.Fatal(err)
		}
		r := &Recipe{Schema: recipeSchema, Method: m.Name}
		for _, x := range e.matrices {
			random := func(marks []bool) {
				share := []float64{0, 0, 0.1, 1}[rng.IntN(4)]
				for i := range marks {
					marks[i] = rng.Float64() < share
				}
			}
			random(x.rows)
			random(x.columns)
			if seed%3 == 0 {
				random(x.unread)
			}
			x.entries = make([]bool, x.n*x.k)
			random(x.entries)
			r.Matrices = append(r.Matrices, Record{Weight: x.name, Shape: [2]int{x.n, x.k}, Mask: x.mask.encode()})
		}
		for _, l := range e.layers {
			r.Layers = append(r.Layers, l.kept())
		}
		g := dense.Clone()
		again, err := Replay(g, stats, r, nil)
		if err != nil {
			if fault.KindOf(err) != fault.Corrupt || !bytes.Equal(bytesOf(g), bytesOf(dense)) {
				t.Errorf("seed %d: %v, or the graph changed", seed, err)
			}
			refused++
			continue
		}
		taken++
		weights := weightsOf(g)
		for i, x := range e.matrices {
			goes, zeros := make([]bool, x.k), 0
			for row := range x.n {
				x.goes(row, goes)
				for j, gone := range goes {
					if v := weights[x.name][row*x.k+j]; gone != (v == 0) {
						t.Fatalf("seed %d: %s: entry (%d,%d) is %v, goes: %v", seed, x.name, row, j, v, gone)
					}
				}
				zeros += countTrue(goes)
			}
			if again.Matrices[i].Zeros != zeros || again.Matrices[i].Mask != r.Matrices[i].Mask {
				t.Errorf("seed %d: %s: %d zeros, want %d, or another mask", seed, x.name, again.Matrices[i].Zeros, zeros)
			}
		}
	}
	if refused < 10 || taken < 30 {
		t.Errorf("%d refused, %d taken: the examples show little", refused, taken)
	}
}
