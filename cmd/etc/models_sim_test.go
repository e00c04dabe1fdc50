package main

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"etc/compiler"
	"etc/executor"
	"etc/executor/ptxsim"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
)

// simModel compiles a shared model for the simulator.
func simModel(t *testing.T, name string, bucket int) *plan.Program {
	t.Helper()
	c := simCompiler(t)
	ckpt, err := checkpoint.Open(filepath.Join(shared, "models", name))
	if err != nil {
		t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
	}
	t.Cleanup(func() { ckpt.Close() })
	r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, Buckets: []int{bucket}, NVRTC: c})
	if err != nil {
		t.Fatal(err)
	}
	return r.Plan.Programs[0]
}

// TestModelsSimLosses holds two windows of each language model, the one with
// heads of 200 included, to Hugging Face's losses. A logit of f16 may be off by
// 2e-2·L at worst; over the tokens of a window that averages out, so that
// 5e-3 a token holds.
func TestModelsSimLosses(t *testing.T) {
	for _, c := range []struct {
		name   string
		bucket int
	}{{"gpt2-wikitext", 256}, {"transformer-lm-wikitext", 128}} {
		t.Run(c.name, func(t *testing.T) {
			x := simExecutor(t, simModel(t, c.name, c.bucket), executor.Options{}, ptxsim.Options{})
			all := goldens[window](t, c.name+".valid.jsonl")[:2]
			var list []*rows.Row
			for i, g := range all {
				list = append(list, &rows.Row{Line: i + 1, IDs: g.IDs})
			}
			err := each(context.Background(), x, c.name, list, nil, func(i int, r *executor.Result) {
				want := all[i].NLL + all[i].NLLSum
				off := math.Abs(float64(r.NLL)-want) / float64(r.Scored)
				t.Logf("window %d: nll %.4f, want %.4f", i, r.NLL, want)
				if !(off <= 5e-3) || r.Scored == 0 {
					t.Errorf("window %d: nll %.4f, want %.4f: off by %.2g a token", i, r.NLL, want, off)
				}
				if all[i].Correct != nil && math.Abs(float64(r.Hits-*all[i].Correct)) > 1 {
					t.Errorf("window %d: %d tokens right, want %d", i, r.Hits, *all[i].Correct)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestModelsSimLogits: the first golden rows of each classifier.
func TestModelsSimLogits(t *testing.T) {
	for name, n := range map[string]int{"minilm-sst2": 3, "distil-minilm-sst2": 3, "tiny-sst2": 20} {
		t.Run(name, func(t *testing.T) {
			p := simModel(t, name, 64)
			var list []*rows.Row
			var want [][]float32
			for i, g := range goldens[classified](t, name+".sst2-dev.jsonl")[:n] {
				list = append(list, &rows.Row{Line: i + 1, Text: g.Text})
				want = append(want, []float32{float32(g.Logits[0]), float32(g.Logits[1])})
			}
			checkSimLogits(t, simLogits(t, p, list), want)
		})
	}
}

// TestModelsSimEmbedding: the first rows of STS-B, by cosine.
func TestModelsSimEmbedding(t *testing.T) {
	type golden struct {
		Text      string    `json:"text"`
		Embedding []float64 `json:"embedding"`
	}
	x := simExecutor(t, simModel(t, "all-MiniLM-L6-v2", 64), executor.Options{}, ptxsim.Options{})
	all := goldens[golden](t, "all-MiniLM-L6-v2.embeddings-dev.jsonl")[:3]
	var list []*rows.Row
	for i, g := range all {
		list = append(list, &rows.Row{Line: i + 1, Text: g.Text})
	}
	err := each(context.Background(), x, "stsb", list, nil, func(i int, r *executor.Result) {
		if cosine := cosineOf(r.Vector, all[i].Embedding); !(cosine >= 0.9999) {
			t.Errorf("row %d: cosine %v, want 0.9999", i, cosine)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
