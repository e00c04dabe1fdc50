package tokenizer

import (
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
