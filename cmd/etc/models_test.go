package main

import (
	"bufio"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etc/compiler"
	"etc/eval"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/formats/rows"
	"etc/formats/safetensors"
)

// shared is where models, data and goldens lie: beside the checkout.
const shared = "../../../shared"

// Tolerances of f32 plans against Hugging Face float32 (design, Numerics): L
// is the largest logit of a golden file.
func logitTolerance(largest float64) float64 { return 1e-4 + 1e-5*largest }

const minCosine = 1 - 1e-6

// openModel compiles a shared model in memory and opens it on two threads.
func openModel(t *testing.T, name string, buckets []int, want executor.Want) *executor.Executor {
	t.Helper()
	c, err := checkpoint.Open(filepath.Join(shared, "models", name))
	if err != nil {
		t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
	}
	t.Cleanup(func() { c.Close() })
	return openCheckpoint(t, c, compiler.Options{Targets: []string{cpu.Target}, Buckets: buckets}, kernel.Best(), 2, want)
}

func openCheckpoint(t *testing.T, c *checkpoint.Checkpoint, o compiler.Options, level kernel.Level, threads int, want executor.Want) *executor.Executor {
	t.Helper()
	r, err := compiler.Compile(c, o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := cpu.New(cpu.Options{Level: level, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	x, err := executor.New(r.Plan.Programs[0], d, executor.Options{Truncate: true, Tokenizers: threads, Want: want})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// goldens reads the lines of a golden file.
func goldens[T any](t *testing.T, name string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(shared, "goldens", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	for s := bufio.NewReader(f); ; {
		line, err := s.ReadBytes('\n')
		if len(line) > 0 {
			var v T
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
		if err != nil {
			return all
		}
	}
}

func loadShared(t *testing.T, path string) *rows.Data {
	t.Helper()
	data, err := rows.LoadFile(filepath.Join(shared, "data", path), rows.DataOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// metricOf evaluates and returns the metrics by name.
func metricOf(t *testing.T, x *executor.Executor, data *rows.Data) (*eval.Report, map[string]float64) {
	t.Helper()
	report, err := evaluate(context.Background(), x, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range report.Metrics {
		values[m.Name] = m.Value
	}
	return report, values
}

// TestModelsClassificationDev holds SST-2 dev to the sample, and the logits of
// the golden rows to their tolerance.
func TestModelsClassificationDev(t *testing.T) {
	for name, right := range map[string]int{"tiny-sst2": 701, "minilm-sst2": 771, "distil-minilm-sst2": 764} {
		t.Run(name, func(t *testing.T) {
			x := openModel(t, name, nil, executor.Want{})
			report, values := metricOf(t, x, loadShared(t, "sst2/dev.tsv"))
			if got := int(math.Round(values[eval.NameAccuracy] * float64(report.Rows))); report.Rows != 872 || got != right {
				t.Errorf("%d of %d rows right, want %d of 872", got, report.Rows, right)
			}
			checkLogits(t, x, name+".sst2-dev.jsonl")
		})
	}
}

type classified struct {
	Text   string    `json:"text"`
	Label  int       `json:"label"`
	IDs    []int32   `json:"ids"`
	Logits []float64 `json:"logits"`
}

// checkLogits runs the texts of a golden file and compares ids and logits.
func checkLogits(t *testing.T, x *executor.Executor, file string) {
	t.Helper()
	all := goldens[classified](t, file)
	var list []*rows.Row
	largest := 0.0
	for i, g := range all {
		list = append(list, &rows.Row{Line: i + 1, Text: g.Text})
		for _, l := range g.Logits {
			largest = max(largest, math.Abs(l))
		}
	}
	worst := 0.0
	err := each(context.Background(), x, file, list, nil, func(i int, r *executor.Result) {
		for j, want := range all[i].Logits {
			worst = max(worst, math.Abs(float64(r.Logits[j])-want))
		}
		if r.Tokens != len(all[i].IDs) {
			t.Errorf("row %d: %d tokens, want %d", i, r.Tokens, len(all[i].IDs))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if allowed := logitTolerance(largest); worst > allowed {
		t.Errorf("%s: logits off by %.3g, allowed %.3g", file, worst, allowed)
	}
}

func TestModelsEmbeddings(t *testing.T) {
	x := openModel(t, "all-MiniLM-L6-v2", nil, executor.Want{})
	if n := x.Program().Model.MaxTokens; n != 256 {
		t.Errorf("longest row %d tokens, want 256: max_seq_length of sentence-transformers", n)
	}
	report, values := metricOf(t, x, loadShared(t, "stsb/sts-dev.csv"))
	if got := values[eval.NameSpearman]; report.Rows != 1500 || math.Abs(got-0.86716) > 0.00001 {
		t.Errorf("Spearman %.6f over %d rows, want 0.86716 over 1500", got, report.Rows)
	}
	type embedded struct {
		Text      string    `json:"text"`
		Embedding []float32 `json:"embedding"`
	}
	all := goldens[embedded](t, "all-MiniLM-L6-v2.embeddings-dev.jsonl")
	var list []*rows.Row
	for i, g := range all {
		list = append(list, &rows.Row{Line: i + 1, Text: g.Text})
	}
	err := each(context.Background(), x, "embeddings", list, nil, func(i int, r *executor.Result) {
		if c := eval.Cosine(r.Vector, all[i].Embedding); c < minCosine {
			t.Errorf("row %d: cosine %.9f", i, c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestModelsPerplexity(t *testing.T) {
	for _, c := range []struct {
		model      string
		window     int
		perplexity float64
		right      int // next tokens; 0: not known
		scored     int
	}{
		{"gpt2-wikitext", 256, 105.50, 0, 32 * 255},
		{"transformer-lm-wikitext", 128, 124.23, 963, 32 * 127},
	} {
		t.Run(c.model, func(t *testing.T) {
			x := openModel(t, c.model, []int{c.window}, executor.Want{LastLogits: true})
			data := loadShared(t, "wikitext2/valid.txt")
			if err := limit(x, data, 32); err != nil {
				t.Fatal(err)
			}
			_, values := metricOf(t, x, data)
			if got := values[eval.NamePerplexity]; math.Abs(got-c.perplexity) > 0.02 {
				t.Errorf("perplexity %.3f, want %.2f", got, c.perplexity)
			}
			right := int(math.Round(values[eval.NameNextToken] * float64(c.scored)))
			if c.right != 0 && right != c.right {
				t.Errorf("%d of %d next tokens right, want %d", right, c.scored, c.right)
			}
			checkWindows(t, x, c.model+".valid.jsonl")
		})
	}
}

// A window is a golden window of a language model: the loss summed over its
// tokens, how many next tokens are right where that is known, and the first
// logits after its last token.
type window struct {
	IDs     []int32   `json:"ids"`
	NLL     float64   `json:"nll"`
	NLLSum  float64   `json:"nll_sum"`
	Correct *int      `json:"correct"`
	Last    []float64 `json:"last_logits_head"`
	Last8   []float64 `json:"last_logits_first8"`
}

// maxNLLError is what float32 may add up to over the 255 scored tokens of a
// window: 1e-5 a token.
const maxNLLError = 1e-5

func checkWindows(t *testing.T, x *executor.Executor, file string) {
	t.Helper()
	all := goldens[window](t, file)
	var list []*rows.Row
	for i, g := range all {
		list = append(list, &rows.Row{Line: i + 1, IDs: g.IDs})
	}
	if len(all) != 32 {
		t.Errorf("%s: %d windows, want 32", file, len(all))
	}
	err := each(context.Background(), x, file, list, nil, func(i int, r *executor.Result) {
		g := all[i]
		if want := g.NLL + g.NLLSum; math.Abs(float64(r.NLL)-want) > maxNLLError*float64(r.Scored) || want == 0 {
			t.Errorf("window %d: nll %.5f, want %.5f", i, r.NLL, want)
		}
		if g.Correct != nil && r.Hits != *g.Correct {
			t.Errorf("window %d: %d tokens right, want %d", i, r.Hits, *g.Correct)
		}
		for j, want := range slices.Concat(g.Last, g.Last8) {
			if got := float64(r.LastLogits[j]); math.Abs(got-want) > logitTolerance(math.Abs(want)) {
				t.Errorf("window %d: last logit %d is %.6f, want %.6f", i, j, got, want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestModelsLogitsOfARow compares logits of every token, head width 200.
func TestModelsLogitsOfARow(t *testing.T) {
	type golden struct {
		IDs    []int32     `json:"ids"`
		Logits [][]float64 `json:"logits"`
	}
	g := goldens[golden](t, "transformer-lm-wikitext.row.json")[0]
	x := openModel(t, "transformer-lm-wikitext", nil, executor.Want{Logits: true, LastLogits: true})
	largest, worst := 0.0, 0.0
	err := each(context.Background(), x, "row", []*rows.Row{{IDs: g.IDs}}, nil, func(_ int, r *executor.Result) {
		v := r.TokenLogits.Width
		for i, row := range g.Logits {
			for j, want := range row {
				largest = max(largest, math.Abs(want))
				worst = max(worst, math.Abs(float64(r.TokenLogits.Data[i*v+j])-want))
			}
		}
		if !slices.Equal(r.LastLogits, r.TokenLogits.Data[len(r.TokenLogits.Data)-v:]) {
			t.Error("last_logits are not the last of logits")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if allowed := logitTolerance(largest); worst > allowed || largest == 0 {
		t.Errorf("logits off by %.3g, allowed %.3g", worst, allowed)
	}
}

// TestModelsHiddenStates compares every layer with Hugging Face's hidden
// states; of the last, trimmed layer there is one row, that of the first token.
func TestModelsHiddenStates(t *testing.T) {
	f, err := safetensors.Open(filepath.Join(shared, "goldens", "tiny-sst2.layers.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x := openModel(t, "tiny-sst2", nil, executor.Want{})
	ids, lengths := goldenIDs(t, f)
	for layer, name := range []string{"hidden_states.0", "hidden_states.1", "hidden_states.2"} {
		want, _ := f.Tensor(name)
		values, padded, width := want.Float32s(), want.Shape[1], want.Shape[2]
		tap := []string{"layer.0", "layer.1", "layer.2"}[layer]
		out, err := x.Forward(ids, nil, tap)
		if err != nil {
			t.Fatal(err)
		}
		var expect []float32
		for row, n := range lengths {
			if len(out[0]) == len(ids)*width {
				n = 1
			}
			expect = append(expect, values[row*padded*width:(row*padded+n)*width]...)
		}
		if len(out[0]) != len(expect) {
			t.Fatalf("%s has %d values, want %d", tap, len(out[0]), len(expect))
		}
		for i, w := range expect {
			if math.Abs(float64(out[0][i]-w)) > 1e-4 {
				t.Fatalf("%s[%d] = %v, want %v", tap, i, out[0][i], w)
			}
		}
	}
}

// goldenIDs are the rows of a golden file without their padding.
func goldenIDs(t *testing.T, f *safetensors.File) (ids [][]int32, lengths []int) {
	t.Helper()
	list, _ := f.Tensor("input_ids")
	mask, _ := f.Tensor("attention_mask")
	n := list.Shape[1]
	for row := range list.Shape[0] {
		var of []int32
		for i := range n {
			if mask.Data[8*(row*n+i)] != 0 {
				at := 8 * (row*n + i)
				of = append(of, int32(list.Data[at])|int32(list.Data[at+1])<<8|int32(list.Data[at+2])<<16)
			}
		}
		ids, lengths = append(ids, of), append(lengths, len(of))
	}
	return ids, lengths
}
