package frontend_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etc/formats/safetensors"
	"etc/formats/tokenizer"
	"etc/ir/interp"
)

// sharedFile is the path of something beside the repository.
func sharedFile(t testing.TB, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this test needs the shared folder beside the repository: %v", err)
	}
	return path
}

// A golden is a line of any of the golden files.
type golden struct {
	Text   string
	IDs    []int
	Logits json.RawMessage // one row of logits, or a matrix

	NLLSum         float64   `json:"nll_sum"`
	LastLogits     []float64 `json:"last_logits_first8"`
	NLL            float64
	Correct        float64
	LastLogitsHead []float64 `json:"last_logits_head"`
	Hidden         [][]float64
	Embedding      []float64
	ArgmaxLast     int `json:"argmax_last"`
	LastArgmax     int `json:"last_argmax"`
}

func readGoldens(t *testing.T, name string) []golden {
	t.Helper()
	f, err := os.Open(sharedFile(t, "goldens", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []golden
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		list = append(list, g)
	}
	if err := lines.Err(); err != nil || len(list) == 0 {
		t.Fatalf("%s: %d lines, error %v", name, len(list), err)
	}
	return list
}

// load imports a shared model for the interpreter.
func load(t *testing.T, name string) *interp.Program {
	t.Helper()
	p, err := interp.Load(importDir(t, sharedFile(t, "models", name)).Graph)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runRows evaluates rows of ids, type ids zero and positions from 0.
func runRows(t *testing.T, p *interp.Program, rows ...[]int) map[string]*interp.Array {
	t.Helper()
	in := interp.Inputs{Offsets: []int{0}}
	for _, ids := range rows {
		for i, id := range ids {
			in.IDs, in.Types, in.Positions = append(in.IDs, id), append(in.Types, 0), append(in.Positions, i)
		}
		in.Offsets = append(in.Offsets, len(in.IDs))
	}
	out, err := p.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// f32Bound is design.md's tolerance against Hugging Face in float32, for
// logits of which the largest of the file is l.
func f32Bound(l float64) float64 { return 1e-4 + 1e-5*l }

func largest(v []float64) float64 {
	l := 0.0
	for _, x := range v {
		l = max(l, math.Abs(x))
	}
	return l
}

func near(t *testing.T, what string, got, want []float64, bound float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= bound) {
			t.Fatalf("%s: element %d is %v, want %v within %g", what, i, got[i], want[i], bound)
		}
	}
}

func TestModelsImport(t *testing.T) {
	for name, unclaimed := range map[string]int{
		"all-MiniLM-L6-v2": 3, "minilm-sst2": 0, "tiny-sst2": 0, "distil-minilm-sst2": 0, "gpt2-wikitext": 0, "transformer-lm-wikitext": 0,
	} {
		im := importDir(t, sharedFile(t, "models", name))
		if len(im.Unclaimed) != unclaimed {
			t.Errorf("%s: unclaimed %q, want %d", name, im.Unclaimed, unclaimed)
		}
		if changed := writeBack(t, im.Graph, open(t, sharedFile(t, "models", name))); len(changed) != 0 {
			t.Errorf("%s: %d tensors changed on the way back", name, len(changed))
		}
	}
	if n := importDir(t, sharedFile(t, "models", "all-MiniLM-L6-v2")).Model.MaxTokens; n != 256 {
		t.Errorf("all-MiniLM-L6-v2 takes %d tokens, want 256", n)
	}
}

func TestModelsHiddenStates(t *testing.T) {
	f, err := safetensors.Open(sharedFile(t, "goldens", "tiny-sst2.layers.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, mask := int64s(t, f, "input_ids"), int64s(t, f, "attention_mask")
	shape, _ := f.Tensor("input_ids")
	p, width := load(t, "tiny-sst2"), shape.Shape[1]
	for row := range shape.Shape[0] {
		n := 0
		for n < width && mask[row*width+n] == 1 {
			n++
		}
		out := runRows(t, p, ids[row*width:row*width+n])
		for layer := range 3 {
			name := fmt.Sprintf("hidden_states.%d", layer)
			want, _ := f.Tensor(name)
			h := want.Shape[2]
			near(t, fmt.Sprintf("row %d, %s", row, name), out[fmt.Sprintf("layer.%d", layer)].F, want.Float64s()[row*width*h:(row*width+n)*h], 1e-4)
		}
		want, _ := f.Tensor("logits")
		near(t, fmt.Sprintf("row %d, logits", row), out["logits"].F, want.Float64s()[row*2:row*2+2], 1e-4)
	}
}

func int64s(t *testing.T, f *safetensors.File, name string) []int {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %q", name)
	}
	var list []int
	for b := range slices.Chunk(x.Data, 8) {
		list = append(list, int(b[0])|int(b[1])<<8)
	}
	return list
}

func TestModelsClassify(t *testing.T) {
	for name, rows := range map[string]int{"tiny-sst2": 40, "minilm-sst2": 4, "distil-minilm-sst2": 4} {
		list := readGoldens(t, name+".sst2-dev.jsonl")
		logits := func(g golden) (v []float64) {
			if err := json.Unmarshal(g.Logits, &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		l := 0.0
		for _, g := range list {
			l = max(l, largest(logits(g)))
		}
		p := load(t, name)
		for i, g := range list[:rows] {
			near(t, fmt.Sprintf("%s, row %d", name, i), runRows(t, p, g.IDs)["logits"].F, logits(g), f32Bound(l))
		}
	}
}

func TestModelsGPT2(t *testing.T) {
	p := load(t, "gpt2-wikitext")
	for i, g := range readGoldens(t, "gpt2-wikitext.valid.jsonl")[:2] {
		out := runRows(t, p, g.IDs)
		last := out["last_logits"].F
		bound := f32Bound(largest(last))
		near(t, fmt.Sprintf("row %d, last logits", i), last[:8], g.LastLogits, bound)
		near(t, fmt.Sprintf("row %d, nll", i), []float64{sumOf(out["nll"].F)}, []float64{g.NLLSum}, bound*float64(len(g.IDs)))
		if got := argmax(last); got != g.ArgmaxLast {
			t.Errorf("row %d: next token %d, want %d", i, got, g.ArgmaxLast)
		}
	}
}

func TestModelsTransformerLM(t *testing.T) {
	p := load(t, "transformer-lm-wikitext")
	for i, g := range readGoldens(t, "transformer-lm-wikitext.valid.jsonl")[:3] {
		out := runRows(t, p, g.IDs)
		last := out["last_logits"].F
		bound := f32Bound(largest(last))
		near(t, fmt.Sprintf("row %d, last logits", i), last[:len(g.LastLogitsHead)], g.LastLogitsHead, bound)
		near(t, fmt.Sprintf("row %d, nll", i), []float64{sumOf(out["nll"].F)}, []float64{g.NLL}, bound*float64(len(g.IDs)))
		if hits := sumOf(out["hit"].F); hits != g.Correct || argmax(last) != g.LastArgmax {
			t.Errorf("row %d: %v right, next token %d; want %v, %d", i, hits, argmax(last), g.Correct, g.LastArgmax)
		}
	}
	g := readGoldens(t, "transformer-lm-wikitext.row.json")[0]
	var want [][]float64
	if err := json.Unmarshal(g.Logits, &want); err != nil {
		t.Fatal(err)
	}
	out := runRows(t, p, g.IDs)
	near(t, "hidden", out["layer.2"].F, slices.Concat(g.Hidden...), 1e-4)
	all := slices.Concat(want...) // the first rows
	near(t, "logits", out["logits"].F[:len(all)], all, f32Bound(largest(all)))
}

func sumOf(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

func argmax(v []float64) int { return slices.Index(v, slices.Max(v)) }

func TestModelsEmbeddings(t *testing.T) {
	const name = "all-MiniLM-L6-v2"
	tok, err := tokenizer.New(open(t, sharedFile(t, "models", name)).Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	p, encoder := load(t, name), tok.NewEncoder()
	for i, g := range readGoldens(t, name+".embeddings-dev.jsonl")[:4] {
		var e tokenizer.Encoding
		if err := encoder.Encode(&e, g.Text, nil, 0); err != nil {
			t.Fatal(err)
		}
		var ids []int
		for _, id := range e.IDs {
			ids = append(ids, int(id))
		}
		got := runRows(t, p, ids)["embedding"].F
		if c := cosine(got, g.Embedding); !(c >= 1-1e-6) {
			t.Errorf("row %d: cosine %v, want at least 1-1e-6", i, c)
		}
		near(t, fmt.Sprintf("row %d, length", i), []float64{dot(got, got)}, []float64{1}, 1e-9)
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func cosine(a, b []float64) float64 { return dot(a, b) / math.Sqrt(dot(a, a)*dot(b, b)) }
