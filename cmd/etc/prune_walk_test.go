package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/executor/cpu"
	"etc/formats/checkpoint"
	"etc/formats/tokenizer"
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

// TestWalk: layer by layer, and in any order, products read the very bits that
// they read in the whole model, rows of all lengths together.
func TestWalk(t *testing.T) {
	for _, class := range []string{"BertForSequenceClassification", "BertModel", "DistilBertForSequenceClassification", "GPT2LMHeadModel", "TransformerModel"} {
		t.Run(class, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 0))
			c, err := checkpoint.Open(frontendtest.Random(t, rng, class, frontendtest.Options{Layers: 4, Heads: 2, HeadSize: 8, Inner: 48}))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c, sample: &sample{}}
			if err := r.importModel(); err != nil {
				t.Fatal(err)
			}
			for r.sample.tokens < chunkTokens*3/2 {
				var enc tokenizer.Encoding
				for range 1 + rng.IntN(40) {
					enc.IDs, enc.TypeIDs = append(enc.IDs, int32(rng.IntN(r.model.VocabSize))), append(enc.TypeIDs, int32(rng.IntN(max(1, r.model.TypeVocabSize))))
				}
				r.sample.add(enc)
			}
			whole := inputsOf{}
			x, err := r.open(r.dense, whole.see)
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if err := forwardSample(t.Context(), x, r.sample, func(int, [][]float32) {}); err != nil {
				t.Fatal(err)
			}
			w := &walk{pruning: r}
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
