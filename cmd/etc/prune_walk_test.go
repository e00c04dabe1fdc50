package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/executor/cpu"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
	"etc/ir"
	"etc/ir/tensor"
)

// inputsOf are the inputs of products, by name and width, as executors show them
// whose observer is see.
type inputsOf map[string][]float32

func (in inputsOf) see(name string, x cpu.Rows) {
	key := fmt.Sprintf("%s of %d", name, x.Width)
	for i := range x.Count {
		in[key] = append(in[key], x.Row(i)...)
	}
}

// randomModel is one of four layers.
func randomModel(t *testing.T, rng *rand.Rand, class string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(frontendtest.Random(t, rng, class, frontendtest.Options{Layers: 4, Heads: 2, HeadSize: 8, Inner: 48}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// randomSample is rows of 1 to 40 tokens, at least so many tokens in all.
func randomSample(rng *rand.Rand, model *plan.Model, tokens int) *sample {
	s := &sample{}
	for s.tokens < tokens {
		var enc tokenizer.Encoding
		for range 1 + rng.IntN(40) {
			enc.IDs, enc.TypeIDs = append(enc.IDs, int32(rng.IntN(model.VocabSize))), append(enc.TypeIDs, int32(rng.IntN(max(1, model.TypeVocabSize))))
		}
		s.add(enc)
	}
	return s
}

// TestWalkOfFewTokens: layers above the first read numbers of tokens, of which
// there may be fewer than the token of padding is.
func TestWalkOfFewTokens(t *testing.T) {
	r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: randomModel(t, rand.New(rand.NewPCG(5, 0)), "GPT2ForSequenceClassification")}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	if len(r.model.Padding) != 1 {
		t.Fatalf("padding %v, want a token", r.model.Padding)
	}
	few := &sample{}
	few.add(tokenizer.Encoding{IDs: []int32{1, 2, 3}})
	w := &walk{pruning: r, sample: few}
	rows := 0
	for out, err := range w.outputs(t.Context(), r.dense, r.dense, 3) {
		if err != nil {
			t.Fatal(err)
		}
		rows += len(out[0]) / len(r.model.Labels)
	}
	if rows != 1 {
		t.Errorf("%d rows, want 1", rows)
	}
}

// TestWalk: layer by layer, and in any order, products read the very bits that
// they read in the whole model, rows of all lengths together.
func TestWalk(t *testing.T) {
	for _, class := range []string{"BertForSequenceClassification", "BertModel", "DistilBertForSequenceClassification", "GPT2LMHeadModel", "GPT2ForSequenceClassification", "TransformerModel"} {
		t.Run(class, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 0))
			c := randomModel(t, rng, class)
			r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c}
			if err := r.importModel(); err != nil {
				t.Fatal(err)
			}
			r.sample = randomSample(rng, &r.model, chunkTokens*3/2)
			whole := inputsOf{}
			x, err := r.open(r.dense, whole.see)
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if err := forwardSample(t.Context(), x, r.sample, func(int, [][]float32) {}); err != nil {
				t.Fatal(err)
			}
			w := &walk{pruning: r, sample: r.sample, observed: true}
			for _, layer := range []int{0, 1, 3, 2, 3, 3} {
				part := inputsOf{}
				for _, err := range w.batches(t.Context(), r.dense, layer, part.see) {
					if err != nil {
						t.Fatal(err)
					}
				}
				if w.layer != layer || (w.hidden == nil) != (layer == 0) {
					t.Errorf("stands before layer %d with %d values, want %d", w.layer, len(w.hidden), layer)
				}
				for key, want := range part {
					if !slices.Equal(want, whole[key]) {
						t.Errorf("layer %d: %s: other values than in the whole model", layer, key)
					}
				}
				if len(part) < 4 { // queries with keys and values, outputs, two of the feed-forward block
					t.Errorf("layer %d: saw %d products only: %v", layer, len(part), part)
				}
			}
			other := r.dense.Clone()
			for _, err := range w.batches(t.Context(), other, 0, inputsOf{}.see) {
				if err != nil || w.g != other || w.hidden != nil {
					t.Fatalf("another model goes on where the first one stood (%v)", err)
				}
			}
		})
	}
}

// TestGuardLeavesOutLayers: what a model puts out that is as the dense one below
// a layer has the bits of the whole model, for all targets and in any order of
// layers, though those below are not run again.
func TestGuardLeavesOutLayers(t *testing.T) {
	for _, class := range []string{"BertForSequenceClassification", "BertModel", "DistilBertForSequenceClassification", "GPT2LMHeadModel"} {
		for _, target := range []string{cpu.Target, "cpu:int16", "cpu:int8"} {
			t.Run(class+" "+target, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(6, 0))
				r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: randomModel(t, rng, class), target: target}
				if err := r.importModel(); err != nil {
					t.Fatal(err)
				}
				r.sample = randomSample(rng, &r.model, guardTokens)
				g, err := r.newGuard()
				if err != nil {
					t.Fatal(err)
				}
				stands := 0
				for _, layer := range []int{0, 1, 1, 3, 2, 3} {
					pruned := halved(t, r.dense, layer)
					if got := firstChanged(r.dense, pruned); got != layer {
						t.Fatalf("layer %d changed, found %d", layer, got)
					}
					want := wholeOutputs(t, r, g.sample, pruned)
					got, err := g.outputs(t.Context(), pruned)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got[0], want) || slices.Equal(got[0], g.want[0]) {
						t.Errorf("layer %d: other outputs than those of the whole model, or those of the dense one", layer)
					}
					if r.model.Task != plan.CausalLM {
						stands = max(stands, layer)
					}
					if g.walk.layer != stands {
						t.Errorf("layer %d: the walk stands before layer %d, want %d", layer, g.walk.layer, stands)
					}
				}
				rebuilt := r.dense.Clone()
				for _, layer := range []int{0, 1, 1, 3, 3, 0, 2} { // one graph that changes, mostly upwards
					halve(t, rebuilt, layer)
					got, err := g.outputs(t.Context(), rebuilt)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got[0], wholeOutputs(t, r, g.sample, rebuilt)) {
						t.Errorf("rebuilt up to layer %d: other outputs than those of the whole model", layer)
					}
				}
				if stands = 3; r.model.Task == plan.CausalLM {
					stands = 0
				}
				if g.up.layer != stands {
					t.Errorf("the walk through what is rebuilt stands before layer %d, want %d", g.up.layer, stands)
				}
			})
		}
	}
}

// wholeOutputs are the first of a graph that runs whole.
func wholeOutputs(t *testing.T, r *pruning, s *sample, g *ir.Graph) (all []float32) {
	t.Helper()
	x, err := r.open(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := forwardSample(t.Context(), x, s, func(_ int, outputs [][]float32) { all = append(all, outputs[0]...) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// halved is a clone in which the last weight matrix of a layer is half as large.
func halved(t *testing.T, dense *ir.Graph, layer int) *ir.Graph {
	t.Helper()
	g := dense.Clone()
	halve(t, g, layer)
	return g
}

func halve(t *testing.T, g *ir.Graph, layer int) {
	t.Helper()
	for i, op := range slices.Backward(g.Ops) {
		if op.Kind != ir.Linear || layerAt(g, i) != layer {
			continue
		}
		a := op.Arg("w").Def.Attrs.(*ir.WeightAttrs)
		x := a.Data.Float64s()
		for j := range x {
			x[j] /= 2
		}
		a.Data = tensor.FromFloat64s(a.Data.Shape, x).Convert(a.Data.DType)
		return
	}
	t.Fatalf("no product in layer %d", layer)
}

// TestGuardOfSearchRows: rows that the search may see are compared on too, and
// answers found on other rows are not recalled.
func TestGuardOfSearchRows(t *testing.T) {
	c, data := openTiny(t), loadDev(t)
	t.Setenv("ETC_CACHE_DIR", t.TempDir())
	r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{calib: "other rows"}, ctx: t.Context(), ckpt: c, target: cpu.Target, memo: openMemo()}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	r.sample = randomSample(rand.New(rand.NewPCG(7, 0)), &r.model, 2*guardTokens)
	few := *data
	few.Examples = data.Examples[:10]
	answers, counts := []int{}, []int{}
	for i, seen := range []*rows.Data{nil, data, &few, data, nil} {
		r.seen = seen
		g, err := r.newGuard()
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, len(g.sample.ids))
		if len(g.want[0]) != len(g.sample.ids)*len(r.model.Labels) {
			t.Errorf("%d outputs of %d rows", len(g.want[0]), len(g.sample.ids))
		}
		answer := 0
		if err := r.recall("damage", &answer, func() error { answer = i; return nil }); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	if !slices.Equal(answers, []int{0, 1, 2, 1, 0}) {
		t.Errorf("answers %v", answers)
	}
	alone, all := len(r.sample.first(guardRows, guardTokens).ids), counts[1]
	if !slices.Equal(counts, []int{alone, all, alone + 10, all, alone}) || all < alone+searchRows/2 || all > alone+searchRows {
		t.Errorf("%v rows, of calibration %d", counts, alone)
	}
}
