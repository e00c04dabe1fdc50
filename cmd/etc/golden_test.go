package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/fault"
	"etc/formats/plan"
)

// goldenPlan is a plan that this major version of the format wrote first, with rows
// and the answers it gave then. Every later version must read it and answer
// the same. Go's -update flag, defined in irtest, writes it anew: only for a
// new major version, under a new name.
var goldenPlan = fmt.Sprintf("../../testdata/plans/%d", plan.Major)

// formerPlan is what the format's first version wrote, which is no longer read.
const formerPlan = "../../testdata/plans/1/golden.etp"

// TestFormerPlansAreUnfit: a plan of an older major version is no damage.
func TestFormerPlansAreUnfit(t *testing.T) {
	wantExit(t, int(fault.Unfit), "inspect", formerPlan)
}

// goldenVocabulary is the tokenizer of the golden checkpoint: WordPiece.
var goldenVocabulary = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "##s", "very", ",", "not", "."}

// goldenOptions are odd sizes and zeros of every structure.
var goldenOptions = frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 21, Inner: 80, Labels: 3, Zeros: true}

// maxGoldenError allows for CPU levels that round otherwise.
const maxGoldenError = 1e-5

// TestGoldenPlanStaysReadable runs the golden plan on its rows.
func TestGoldenPlanStaysReadable(t *testing.T) {
	if update := flag.Lookup("update"); update != nil && update.Value.String() == "true" {
		writeGoldenPlan(t)
	}
	got := mustRun(t, "run", filepath.Join(goldenPlan, "golden.etp"), "--input", filepath.Join(goldenPlan, "rows.jsonl"), "--probabilities", "--quiet")
	want, err := os.ReadFile(filepath.Join(goldenPlan, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(strings.TrimSpace(got), "\n"), strings.Split(strings.TrimSpace(string(want)), "\n")
	if len(gotLines) != len(wantLines) {
		t.Fatalf("%d results, want %d", len(gotLines), len(wantLines))
	}
	for i := range wantLines {
		sameResult(t, i, gotLines[i], wantLines[i])
	}
}

type goldenResult struct {
	ID     string
	Logits []float64
	Label  string
	Score  float64
}

func sameResult(t *testing.T, line int, got, want string) {
	t.Helper()
	var g, w goldenResult
	if err := errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	if g.ID != w.ID || g.Label != w.Label || len(g.Logits) != len(w.Logits) || len(w.Logits) == 0 {
		t.Fatalf("line %d: %s, want %s", line, got, want)
	}
	for j := range w.Logits {
		if math.Abs(g.Logits[j]-w.Logits[j]) > maxGoldenError || math.Abs(g.Score-w.Score) > maxGoldenError {
			t.Errorf("line %d: %s, want %s", line, got, want)
		}
	}
}

// mustRun runs a command line in this process and returns what it printed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("etc %s: exit %d: %s", strings.Join(args, " "), code, errOut.String())
	}
	return out.String()
}

// writeGoldenPlan makes a small random checkpoint with every kind of
// structure in its zeros and keeps its plan and answers.
func writeGoldenPlan(t *testing.T) {
	folder := frontendtest.Random(t, rand.New(rand.NewPCG(1, 1)), "BertForSequenceClassification", goldenOptions)
	vocabulary := []byte(strings.Join(goldenVocabulary, "\n") + "\n")
	if err := os.WriteFile(filepath.Join(folder, "vocab.txt"), vocabulary, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(goldenPlan, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(goldenPlan, "golden.etp")
	mustRun(t, "compile", folder, "-o", file, "--seqlen-buckets", "8,64,130", "--force", "--quiet")
	rows := `{"id":"text","text":"a very good film, not bad."}
{"id":"pair","text":"good films","text_pair":"bad"}
{"id":"ids","ids":[2,5,6,7,3],"type_ids":[0,0,1,1,1]}
`
	input := filepath.Join(goldenPlan, "rows.jsonl")
	if err := os.WriteFile(input, []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	results := mustRun(t, "run", file, "--input", input, "--probabilities", "--quiet")
	if err := os.WriteFile(filepath.Join(goldenPlan, "results.jsonl"), []byte(results), 0o644); err != nil {
		t.Fatal(err)
	}
}
