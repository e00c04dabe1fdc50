package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// golden reads the lines of a golden file of Hugging Face's answers.
func golden[T any](t *testing.T, name string) (lines []T) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "shared", "goldens", name))
	if err != nil {
		t.Fatalf("this test needs the folder shared beside the repository: %v", err)
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var line T
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines = append(lines, line)
	}
	if in.Err() != nil || len(lines) == 0 {
		t.Fatalf("%s: %d lines, %v", name, len(lines), in.Err())
	}
	return lines
}

// The metrics that shared/README.md gives for the golden answers, which scipy
// and scikit-learn computed.
func TestModelsGoldenMetrics(t *testing.T) {
	var cosines, scores []float64
	for _, l := range golden[struct{ Cosine, Score float64 }](t, "all-MiniLM-L6-v2.stsb-dev.jsonl") {
		cosines, scores = append(cosines, l.Cosine), append(scores, l.Score)
	}
	sts, err := Correlation(cosines, scores)
	check(t, sts, err, "spearman 0.86716 of 1500")

	var predicted, want []int
	for _, l := range golden[struct {
		Label  int
		Logits []float32
	}](t, "tiny-sst2.sst2-dev.jsonl") {
		class := 0
		if l.Logits[1] > l.Logits[0] {
			class = 1
		}
		predicted, want = append(predicted, class), append(want, l.Label)
	}
	sst, err := Classification(predicted, want, 2)
	check(t, sst, err, fmt.Sprintf("accuracy %.5f of 872", 701.0/872))

	var windows []Scored
	for _, l := range golden[struct {
		IDs []int32 `json:"ids"`
		NLL float64 `json:"nll_sum"`
	}](t, "gpt2-wikitext.valid.jsonl") {
		windows = append(windows, Scored{NLL: l.NLL, Tokens: len(l.IDs) - 1})
	}
	gpt2, err := LanguageModel(windows)
	if err == nil && fmt.Sprintf("%.2f", gpt2.Primary().Value) != "105.50" {
		t.Errorf("perplexity %g", gpt2.Primary().Value)
	}
	check(t, gpt2, err, "")
}

func check(t *testing.T, r *Report, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p := r.Primary()
	if got := fmt.Sprintf("%s %.5f of %d", p.Name, p.Value, r.Rows); want != "" && got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, m := range r.Metrics {
		t.Logf("%s %.5f, %.5f to %.5f", m.Name, m.Value, m.Low, m.High)
		if !(m.Low <= m.Value && m.Value <= m.High) {
			t.Errorf("%s: %g is outside %g to %g", m.Name, m.Value, m.Low, m.High)
		}
	}
}
