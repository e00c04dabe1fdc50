package main

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"

	"etc/compiler/frontend"
	"etc/formats/checkpoint"
)

var tiny = shape{layers: 2, hidden: 16, heads: 2, inner: 24, vocabulary: 50, positions: 20, seed: 7}

// TestBytes: the same flags give the same bytes, other seeds others, on any machine.
func TestBytes(t *testing.T) {
	const want = "e97d511de5d9d2dcc58c4e11bac2f6d806aa9f3ef1a758620268645de7ad4429" // of model.safetensors
	other := tiny
	other.seed++
	var sums []string
	for i, s := range []shape{tiny, tiny, other} {
		folder := filepath.Join(t.TempDir(), "model")
		if err := s.write(folder); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		sums = append(sums, hex.EncodeToString(sum[:]))
		if i == 0 {
			if err := s.write(folder); err == nil {
				t.Error("an existing folder is written to")
			}
		}
	}
	if sums[0] != want || sums[1] != want || sums[2] == want {
		t.Errorf("digests %v, want %s twice and another", sums, want)
	}
}

// TestModel: the frontend takes it, and no weight is zero.
func TestModel(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	if err := tiny.write(folder); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := frontend.Import(c); err != nil {
		t.Error(err)
	}
	for _, w := range tiny.weights() {
		sum := 0.0
		for _, x := range w.Tensor.Float32s() {
			if sum += float64(x); x == 0 {
				t.Fatalf("%s has a zero", w.Name)
			}
		}
		if mean := sum / float64(w.Tensor.Len()); math.Abs(mean) > 0.1 && math.Abs(mean-1) > 0.2 {
			t.Errorf("%s has the mean %g", w.Name, mean)
		}
	}
}

func TestValid(t *testing.T) {
	odd, none, huge := tiny, tiny, tiny
	odd.heads, none.layers, huge.vocabulary = 3, 0, 1<<40
	for _, s := range []shape{odd, none, huge} {
		if s.valid() {
			t.Errorf("%+v is taken", s)
		}
	}
	if !tiny.valid() {
		t.Errorf("%+v is not taken", tiny)
	}
}
