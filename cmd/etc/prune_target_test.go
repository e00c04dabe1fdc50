package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPruningIsJudgedAsItsTargetComputes: what --max-drop compares is, dense
// and pruned, what plans of that target say of the same rows.
func TestPruningIsJudgedAsItsTargetComputes(t *testing.T) {
	rows := filepath.Join("..", "..", "testdata", "sst2-dev.tsv")
	values := map[string]bool{}
	for _, target := range []string{"cpu:f32", "cpu:int8"} {
		dir := t.TempDir()
		pruned := filepath.Join(dir, "pruned")
		code, said := codeOf("prune", tinyModel, "-o", pruned, "--sparsity", "0.3", "--eval", rows, "--max-drop", "90%", "--target", target)
		judged := regexp.MustCompile(`all rows: accuracy (\S+), dense (\S+): drop`).FindStringSubmatch(said)
		if code != 0 || judged == nil {
			t.Fatalf("%s: exit %d, no judgement in %q", target, code, said)
		}
		for i, model := range []string{pruned, tinyModel} {
			plan := filepath.Join(dir, fmt.Sprint(i, ".etp"))
			mustRun(t, "compile", model, "-o", plan, "--target", target, "--quiet")
			var report struct {
				Metrics map[string]struct{ Value float64 }
			}
			if err := json.Unmarshal([]byte(mustRun(t, "eval", plan, "--data", rows, "--json")), &report); err != nil {
				t.Fatal(err)
			}
			want := strconv.FormatFloat(report.Metrics["accuracy"].Value, 'g', 5, 64)
			if judged[1+i] != want {
				t.Errorf("%s, %s: judged by an accuracy of %s, its plan has %s", target, model, judged[1+i], want)
			}
			values[fmt.Sprint(i, want)] = true
		}
	}
	if len(values) < 3 {
		t.Errorf("integers answer as float32 does: the rows cannot tell them apart: %v", values)
	}
}

// TestPruningForAGPU goes by the table given, is judged by the CPU, says so, and
// measures nothing.
func TestPruningForAGPU(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(tableFolder, "cpu-f32-avx2-tiny-sst2.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	table := filepath.Join(dir, "table.json")
	text = bytes.Replace(text, []byte(`"target": "cpu:f32"`), []byte(`"target": "sm_80:f16"`), 1)
	text = bytes.Replace(text, []byte(`"level": "avx2"`), []byte(`"level": ""`), 1)
	if err := os.WriteFile(table, text, 0o666); err != nil {
		t.Fatal(err)
	}
	code, said := codeOf("prune", tinyModel, "-o", filepath.Join(dir, "pruned"), "--calib", filepath.Join("..", "..", "testdata", "sst2-dev.tsv"),
		"--speedup", "1.2", "--target", "sm_80", "--latency-table", table)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	for want, there := range map[string]bool{
		"sm_80:f16 is not here: pruned models are judged by the CPU, in float32": true,
		"speeds by the latency table of sm_80:f16":                               true,
		"measured in turns": false,
	} {
		if strings.Contains(said, want) != there {
			t.Errorf("%q: want %v of it in %q", want, there, said)
		}
	}
}
