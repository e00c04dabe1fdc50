package frontend

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/formats/checkpoint"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// docs/add-an-architecture.md shows roberta_test.go in pieces; all of it must be there.
func TestDocumentShowsTheExample(t *testing.T) {
	doc, err := os.ReadFile("../../docs/add-an-architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("roberta_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(code), "\n)\n\n")
	for piece := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		piece = strings.TrimPrefix(piece, "var roberta = architecture")
		if !strings.Contains(string(doc), piece) {
			t.Errorf("the document lacks\n%s", piece)
		}
	}
}

// withRoBERTa puts the example into the table for the time of a test.
func withRoBERTa(t *testing.T) {
	saved := architectures
	architectures = append(slices.Clone(architectures), roberta)
	t.Cleanup(func() { architectures = saved })
}

// A checkpoint of RoBERTa is one of BERT under other names: with the example
// in the table, both must answer the same where positions are the same.
func TestExampleImports(t *testing.T) {
	withRoBERTa(t)
	o := frontendtest.Options{Layers: 2, Labels: 3}
	rng := func() *rand.Rand { return rand.New(rand.NewPCG(2, 3)) }
	bertDir := frontendtest.Random(t, rng(), "BertForSequenceClassification", o)
	bert := importDir(t, bertDir)
	im := importDir(t, asRoBERTa(t, bertDir))
	if m := im.Model; m.PositionOffset != 2 || m.MaxTokens != frontendtest.MaxLength-2 || len(im.Unclaimed) != 0 {
		t.Errorf("position offset %d, at most %d tokens, unclaimed %q", m.PositionOffset, m.MaxTokens, im.Unclaimed)
	}
	in := irtest.InputsOf(rng(), bert.Graph, 5, 1, 17)
	want, err := interp.Run(bert.Graph, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := interp.Run(im.Graph, in)
	if err != nil {
		t.Fatal(err)
	}
	irtest.Close(t, got["logits"], want["logits"], 0)
}

func importDir(t *testing.T, dir string) *Imported {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	im, err := Import(c)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// asRoBERTa writes the checkpoint of a BERT classifier under RoBERTa's names.
func asRoBERTa(t *testing.T, dir string) string {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	names := strings.NewReplacer("bert.pooler.dense", "classifier.dense", "classifier", "classifier.out_proj", "bert.", "roberta.")
	tensors := map[string]tensor.Tensor{}
	for _, name := range c.Names() {
		tensors[names.Replace(name)], _ = c.Tensor(name)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config["model_type"], config["architectures"], config["pad_token_id"] = "roberta", []string{"RobertaForSequenceClassification"}, 1
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "config.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	frontendtest.WriteTensors(t, out, tensors)
	return out
}
