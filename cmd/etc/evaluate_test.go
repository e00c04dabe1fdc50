package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/eval"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
)

// codeOf runs a command line in this process and returns its exit code and
// what it said.
func codeOf(args ...string) (code int, said string) {
	var out, errOut bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errOut)
	return code, errOut.String()
}

// headOf compiles a random BERT with a head of so many labels.
func headOf(t *testing.T, labels int, problem string) (model, plan string) {
	t.Helper()
	model = frontendtest.Random(t, rand.New(rand.NewPCG(9, 0)), "BertForSequenceClassification",
		frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 8, Inner: 32, Labels: labels, Problem: problem})
	plan = filepath.Join(t.TempDir(), "head.etp")
	mustRun(t, "compile", model, "-o", plan, "--quiet")
	return model, plan
}

// TestProgressOfEach: progress is told as rows are done, not only at the end,
// and by what is done.
func TestProgressOfEach(t *testing.T) {
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x := newExecutor(t, compilePlan(t, c, compiler.Options{Targets: []string{cpu.Target}}), kernel.Best(), 2, executor.Options{})
	list := sentences(t)
	var b bytes.Buffer
	bar := &progress{out: &b, stage: "judging", start: time.Now().Add(-time.Minute)}
	done := 0
	err = each(context.Background(), x, "rows", list, bar, func(i int, _ *executor.Result) {
		if i != done {
			t.Fatalf("result %d after %d", i, done)
		}
		done++
		bar.shown = time.Time{} // what is told next is shown
	})
	if err != nil || done != len(list) {
		t.Fatalf("%d of %d rows, %v", done, len(list), err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) < len(list)/paceRows || !strings.HasPrefix(lines[0], "judging: 29%, 2m2") || lines[len(lines)-1] != "judging: 100%, 0s left" {
		t.Errorf("%q", lines)
	}
}

// scoredRows is enough that no pruned model puts those of them that a search
// sees in the order in which the dense one does.
const scoredRows = 90

// writeRows writes rows of ids, each with the fields that more gives.
func writeRows(t *testing.T, more func(i int) string) string {
	t.Helper()
	var b strings.Builder
	for i := range scoredRows {
		fmt.Fprintf(&b, `{"ids":[%d,%d,%d]%s}`+"\n", i%30+1, i/3, 30-i%29, more(i))
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers are the scores that run gives for a file of rows.
func answers(t *testing.T, plan, path string) []float64 {
	t.Helper()
	var scores []float64
	for line := range strings.Lines(mustRun(t, "run", plan, "--input", path, "--quiet")) {
		var r struct{ Score float32 } // its shortest text is not that of a float64
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		scores = append(scores, float64(r.Score))
	}
	return scores
}

// TestScoresAreCorrelated: a regression, and a single label as cross-encoders
// have it, is judged by the correlation of what run answers with the scores.
func TestScoresAreCorrelated(t *testing.T) {
	for _, problem := range []string{"regression", ""} {
		model, plan := headOf(t, 1, problem)
		wanted := func(i int) float64 { return float64(i * i % 7) }
		got := answers(t, plan, writeRows(t, func(int) string { return "" }))
		if len(got) != scoredRows {
			t.Fatalf("%q: %d answers", problem, len(got))
		}
		var scores []float64
		for i := range got {
			scores = append(scores, wanted(i))
		}
		report, err := eval.Correlation(got, scores)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(report.Metrics)
		data := writeRows(t, func(i int) string { return fmt.Sprintf(`,"score":%v`, wanted(i)) })
		var record struct{ Metrics json.RawMessage }
		if err := json.Unmarshal([]byte(mustRun(t, "eval", plan, "--data", data, "--json", "--quiet")), &record); err != nil {
			t.Fatal(err)
		}
		if string(record.Metrics) != string(want) {
			t.Errorf("%q: metrics %s, want %s", problem, record.Metrics, want)
		}
		noDropIsUnreachable(t, model, writeRows(t, func(i int) string { return fmt.Sprintf(`,"score":%v`, got[i]) }))
		labels := writeRows(t, func(int) string { return `,"label":0` })
		if code, said := codeOf("eval", plan, "--data", labels); code != 4 || !strings.Contains(said, "no scores") {
			t.Errorf("%q: labels: exit %d, %s", problem, code, said)
		}
	}
}

// noDropIsUnreachable prunes a model that is judged by its own answers: no
// other model is as good, whatever goes.
func noDropIsUnreachable(t *testing.T, model, own string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "pruned")
	code, said := codeOf("prune", model, "-o", out, "--eval", own, "--max-drop", "0%")
	if code != 8 || !strings.Contains(said, "none that was inside") {
		t.Errorf("prune with no drop: exit %d, %s", code, said)
	}
	if _, err := os.Lstat(out); err == nil {
		t.Error("prune with no drop wrote a folder")
	}
}

// TestSeveralLabelsAreNotJudged: there is no metric for them yet.
func TestSeveralLabelsAreNotJudged(t *testing.T) {
	_, plan := headOf(t, 3, "multi_label_classification")
	data := writeRows(t, func(i int) string { return fmt.Sprintf(`,"score":%d`, i) })
	if code, said := codeOf("eval", plan, "--data", data); code != 3 || !strings.Contains(said, "3 labels, each by itself") {
		t.Errorf("exit %d, %s", code, said)
	}
	_, plan = headOf(t, 3, "")
	if code, said := codeOf("eval", plan, "--data", data); code != 4 || !strings.Contains(said, "no labels") {
		t.Errorf("scores for a classification: exit %d, %s", code, said)
	}
}
