package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/eval"
	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/rows"
	"etc/prune"
)

// pruningOf is a run on the tiny model with rows of --eval, as far as before calibration.
func pruningOf(t *testing.T, data *rows.Data, f *pruneFlags, drop *eval.Drop) (*pruning, *bytes.Buffer, error) {
	t.Helper()
	var said bytes.Buffer
	r := &pruning{program: &program{err: &said}, flags: f, ctx: t.Context(), ckpt: openTiny(t), data: data, drop: drop, target: cpu.Target}
	var err error
	if r.method, err = prune.MethodNamed("structured"); err != nil {
		t.Fatal(err)
	}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	return r, &said, r.partRows()
}

// TestJudgesAreNotCalibratedOn: without --calib, a search calibrates and measures damage on
// rows that it may see, and on none that accepts or is set aside; of a text, on its lines.
func TestJudgesAreNotCalibratedOn(t *testing.T) {
	labelled := loadDev(t)
	text := &rows.Data{Name: "text"}
	for _, e := range labelled.Examples {
		text.Text += e.Text + "\n"
	}
	for name, data := range map[string]*rows.Data{"labelled": labelled, "text": text} {
		r, said, err := pruningOf(t, data, &pruneFlags{eval: "dev.tsv", maxDrop: "1%"}, &eval.Drop{Percent: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.calibrate(); err != nil {
			t.Fatal(err)
		}
		g, err := r.newGuard()
		if err != nil {
			t.Fatal(err)
		}
		reader, err := r.newRowReader()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.parts) != 3 {
			t.Fatalf("%s: %d parts", name, len(r.parts))
		}
		seen := map[string]bool{}
		for i, p := range r.parts {
			s, err := reader.take(p.data, 0, calibrationRows, calibrationTokens)
			if err != nil {
				t.Fatal(err)
			}
			for _, ids := range s.ids {
				seen[fmt.Sprint(i > 0, ids)] = true
			}
		}
		for what, s := range map[string]*sample{"calibration": r.sample, "damage": g.sample} {
			if len(s.ids) < 300 {
				t.Errorf("%s: %d rows of %s", name, len(s.ids), what)
			}
			times := map[string]bool{}
			for _, ids := range s.ids {
				text := fmt.Sprint(ids)
				if seen["true "+text] || !seen["false "+text] || what == "damage" && times[text] {
					t.Errorf("%s: %s on a row that it may not see, or twice: %s", name, what, text)
				}
				times[text] = true
			}
		}
		if !strings.Contains(said.String(), fmt.Sprintf("calibrated on %d rows, %d tokens of the search rows of dev.tsv\n", len(r.sample.ids), r.sample.tokens)) {
			t.Errorf("%s: told %q", name, said)
		}
	}
}

// TestRowsWithoutTokens: a file in which no row has a token, as a tokenizer without special
// ones has it of blank text, cannot be calibrated on; where some have one, those are.
func TestRowsWithoutTokens(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(model, os.DirFS(tinyModel)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(model, "tokenizer.json")
	var file map[string]any
	if text, err := os.ReadFile(path); err != nil || json.Unmarshal(text, &file) != nil {
		t.Fatal(err)
	}
	file["post_processor"] = nil
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	r, _, err := pruningOf(t, nil, &pruneFlags{calib: "calib.tsv"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.ckpt, err = checkpoint.Open(model); err != nil {
		t.Fatal(err)
	}
	defer r.ckpt.Close()
	reader, err := r.newRowReader()
	if err != nil {
		t.Fatal(err)
	}
	none, some := rows.Example{Row: rows.Row{Line: 1, Text: " "}}, rows.Example{Row: rows.Row{Line: 2, IDs: []int32{5, 6}, TypeIDs: []int32{0, 0}}}
	for _, list := range [][]rows.Example{{none, none}, nil} {
		if s, err := reader.take(&rows.Data{Name: "none", Examples: list}, 0, 9, 9); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("of no tokens: %v, %v", s, err)
		}
	}
	s, err := reader.take(&rows.Data{Name: "some", Examples: []rows.Example{none, some}}, 0, 9, 9)
	if err != nil || len(s.ids) != 1 || !slices.Equal(s.ids[0], []int32{5, 6}) {
		t.Fatalf("%v, %v", s, err)
	}
	r.sample, r.seen = s, &rows.Data{Name: "none", Examples: []rows.Example{none}}
	if g, err := r.newGuard(); err != nil || len(g.sample.ids) != 1 {
		t.Errorf("search rows without tokens: %v", err)
	}
	blank := filepath.Join(t.TempDir(), "blank.txt")
	if err := os.WriteFile(blank, []byte(strings.Repeat(" \n", 30)), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, said := codeOf("prune", model, "-o", model+"-pruned", "--calib", blank, "--speedup", "1.3"); code != 4 || !strings.Contains(said, "no rows to calibrate on") {
		t.Errorf("exit %d, %s", code, said)
	}
}
