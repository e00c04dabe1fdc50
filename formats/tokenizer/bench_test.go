package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
)

func skipWithoutShared(b *testing.B) {
	if _, err := os.Stat(shared); err != nil {
		b.Skipf("no folder shared beside the repository: %v", err)
	}
}

// sst2 are the texts of SST-2 train.
func sst2(b testing.TB) (texts []string, size int) {
	for line := range strings.Lines(string(readFile(b, shared+"data/sst2/train.tsv"))) {
		text, _, _ := strings.Cut(line, "\t")
		texts = append(texts, text)
		size += len(text)
	}
	return texts, size
}

// BenchmarkSST2 encodes all rows of SST-2 train with one and with two encoders.
func BenchmarkSST2(b *testing.B) {
	for _, model := range []string{"tiny-sst2", "all-MiniLM-L6-v2", "gpt2-wikitext"} {
		for _, workers := range []int{1, 2} {
			b.Run(model+"/"+string(rune('0'+workers)), func(b *testing.B) {
				skipWithoutShared(b)
				texts, size := sst2(b)
				tok := load(b, shared+"models/"+model)
				b.SetBytes(int64(size))
				for b.Loop() {
					encodeAll(b, tok, texts, workers)
				}
				b.ReportMetric(float64(len(texts)*b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

func encodeAll(b *testing.B, tok *Tokenizer, texts []string, workers int) {
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			e := tok.NewEncoder()
			var got Encoding
			for i := w; i < len(texts); i += workers {
				if err := e.Encode(&got, texts[i], nil, 128); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// BenchmarkUnmarshal is what a plan's start-up pays.
func BenchmarkUnmarshal(b *testing.B) {
	for _, model := range []string{"tiny-sst2", "all-MiniLM-L6-v2", "gpt2-wikitext"} {
		b.Run(model, func(b *testing.B) {
			skipWithoutShared(b)
			form := load(b, shared+"models/"+model).Marshal()
			b.ReportMetric(float64(len(form)), "bytes")
			for b.Loop() {
				if _, err := Unmarshal(form); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew reads a tokenizer.json of 50 000 tokens and merges, as large as GPT-2's.
func BenchmarkNew(b *testing.B) {
	file := largeBPE(50000)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		mustNew(b, Files{TokenizerJSON: file, TokenizerConfig: []byte(`{"tokenizer_class": "TokenizersBackend"}`)})
	}
}

// largeBPE is a tokenizer.json of 256 bytes and that many merges of earlier tokens.
func largeBPE(merges int) []byte {
	var texts, rules []string
	seen := map[string]bool{}
	for _, s := range byteText() {
		texts, seen[s] = append(texts, s), true
	}
	r := rand.New(rand.NewPCG(1, 2))
	for len(rules) < merges {
		left, right := texts[r.IntN(len(texts))], texts[r.IntN(min(len(texts), 2000))]
		if s := left + right; len(s) < 24 && !seen[s] {
			texts, seen[s] = append(texts, s), true
			rules = append(rules, left+" "+right)
		}
	}
	vocab := map[string]int{}
	for id, s := range texts {
		vocab[s] = id
	}
	file, _ := json.MarshalIndent(map[string]any{
		"added_tokens":  []any{},
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": rules},
	}, "", "  ")
	return file
}
