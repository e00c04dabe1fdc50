package main

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"etc/compiler"
	"etc/eval"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/formats/rows"
)

// What integers may cost (design, Numerics): logits of int16 within a share of
// the largest one; the metric of int8 within half a point; cosines of embeddings.
const (
	int16LogitShare = 5e-3
	int8Points      = 0.005
	sst2Rows        = 872 // of SST-2
	int16Cosine     = 1 - 1e-5
	int8Cosine      = 0.99
)

// openIntegers compiles a shared model for a CPU target.
func openIntegers(t *testing.T, name, target string) *executor.Executor {
	t.Helper()
	c, err := checkpoint.Open(filepath.Join(shared, "models", name))
	if err != nil {
		t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
	}
	t.Cleanup(func() { c.Close() })
	return openCheckpoint(t, c, compiler.Options{Targets: []string{target}}, kernel.Best(), 2, executor.Want{})
}

// TestModelsIntegerClassification: on SST-2 dev int16 has the counts of float32
// to the sample, int8 is within half a point. Rows whose label is another than
// that of float32 are printed; of int16 there may be none but by a hair.
func TestModelsIntegerClassification(t *testing.T) {
	for name, right := range map[string]int{"tiny-sst2": 701, "minilm-sst2": 771, "distil-minilm-sst2": 764} {
		t.Run(name, func(t *testing.T) {
			data := loadShared(t, "sst2/dev.tsv")
			float := devLogits(t, openIntegers(t, name, cpu.Target), data)
			largest := 0.0
			for _, row := range float {
				for _, l := range row {
					largest = max(largest, math.Abs(float64(l)))
				}
			}
			for target, allowed := range map[string]float64{"cpu:int16": 0, "cpu:int8": int8Points * sst2Rows} {
				x := openIntegers(t, name, target)
				report, values := metricOf(t, x, data)
				got := int(math.Round(values[eval.NameAccuracy] * float64(report.Rows)))
				t.Logf("%s: %d of %d right, float32 has %d", target, got, report.Rows, right)
				if report.Rows != sst2Rows || math.Abs(float64(got-right)) > allowed {
					t.Errorf("%s: %d of %d rows right, want %d ± %v of %d", target, got, report.Rows, right, allowed, sst2Rows)
				}
				worst := 0.0
				for i, row := range devLogits(t, x, data) {
					for j, l := range row {
						worst = max(worst, math.Abs(float64(l-float[i][j])))
					}
					if (row[0] < row[1]) != (float[i][0] < float[i][1]) {
						margin := math.Abs(float64(float[i][0] - float[i][1]))
						t.Logf("%s: row %d has another label; float32 decides it by %.4f", target, i+1, margin)
						if target == "cpu:int16" && margin > int16LogitShare*largest {
							t.Errorf("%s: row %d has another label", target, i+1)
						}
					}
				}
				t.Logf("%s: logits off by %.3g at most, of %.3g", target, worst, largest)
				if target == "cpu:int16" && worst > int16LogitShare*largest {
					t.Errorf("%s: logits off by %.3g, allowed %.3g", target, worst, int16LogitShare*largest)
				}
			}
		})
	}
}

// devLogits are those of each row.
func devLogits(t *testing.T, x *executor.Executor, data *rows.Data) [][]float32 {
	t.Helper()
	var all [][]float32
	err := each(context.Background(), x, "rows", rowsOf(data), nil, func(_ int, r *executor.Result) {
		all = append(all, append([]float32(nil), r.Logits...))
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestModelsIntegerEmbeddings holds STS-B dev and the cosines to Hugging Face's.
func TestModelsIntegerEmbeddings(t *testing.T) {
	type embedded struct {
		Text      string    `json:"text"`
		Embedding []float32 `json:"embedding"`
	}
	all := goldens[embedded](t, "all-MiniLM-L6-v2.embeddings-dev.jsonl")
	var list []*rows.Row
	for i, g := range all {
		list = append(list, &rows.Row{Line: i + 1, Text: g.Text})
	}
	data := loadShared(t, "stsb/sts-dev.csv")
	for target, allowed := range map[string]struct{ spearman, cosine float64 }{
		"cpu:int16": {1e-4, int16Cosine}, "cpu:int8": {int8Points, int8Cosine},
	} {
		x := openIntegers(t, "all-MiniLM-L6-v2", target)
		_, values := metricOf(t, x, data)
		got := values[eval.NameSpearman]
		if math.Abs(got-0.86716) > allowed.spearman {
			t.Errorf("%s: Spearman %.5f, want 0.86716 ± %g", target, got, allowed.spearman)
		}
		least := 1.0
		err := each(context.Background(), x, "embeddings", list, nil, func(i int, r *executor.Result) {
			least = min(least, eval.Cosine(r.Vector, all[i].Embedding))
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: Spearman %.5f, least cosine 1 - %.3g over %d rows", target, got, 1-least, len(list))
		if !(least >= allowed.cosine) {
			t.Errorf("%s: cosine %v, want at least %v", target, least, allowed.cosine)
		}
	}
}
