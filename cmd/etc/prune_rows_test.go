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
	"etc/formats/plan"
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

// TestTextIsAGate: lines of a text, and windows of it for a language model, are a gate for
// --sparsity and --recipe as rows of a table are, and the page says what they were and in what.
func TestTextIsAGate(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.txt")
	var lines strings.Builder
	for _, e := range loadDev(t).Examples[:60] {
		lines.WriteString(e.Text + "\n")
	}
	if err := os.WriteFile(text, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	for i, c := range []struct {
		args []string
		rows string
	}{
		{[]string{"--sparsity", "0.1"}, "on all rows of --eval, whose texts it was calibrated on"},
		{[]string{"--sparsity", "0.1", "--calib", devRows}, "on all rows of --eval."},
		{[]string{"--recipe", filepath.Join(first, "etc-recipe.json"), "--calib", devRows}, "on all rows of --eval."},
		{[]string{"--speedup", "1.2"}, "on rows the search has not seen."},
	} {
		out := map[bool]string{true: first, false: filepath.Join(dir, fmt.Sprint(i))}[i == 0]
		report := filepath.Join(dir, fmt.Sprint(i, ".html"))
		code, said := codeOf(append([]string{"prune", tinyModel, "-o", out, "--eval", text, "--max-drop", "90%", "--report", report, "--force"}, c.args...)...)
		if code != 0 {
			t.Fatalf("%q: exit %d, %s", c.args, code, said)
		}
		page, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(page, []byte("Pruned against dense, "+c.rows)) || !bytes.Contains(page, []byte("agreement × 100")) {
			t.Errorf("%q: the page does not say %q, or of what", c.args, c.rows)
		}
		if told := strings.Contains(said, "was calibrated on their texts"); told != (i == 0) {
			t.Errorf("%q: told %s", c.args, said)
		}
	}
	r := &pruning{}
	r.remember(&part{name: "all rows"}, &prune.Verdict{Name: eval.NamePerplexity, Was: 138.49, Metric: 140})
	if m := r.metric; m.Name != eval.NamePerplexity || !m.LowerIsBetter || m.Show(r.judged[0].Dense) != "138.49" {
		t.Errorf("a perplexity is shown as %+v", m)
	}
}

// TestRowsThatCannotJudge are refused before anything is measured, whatever part they are in.
func TestRowsThatCannotJudge(t *testing.T) {
	set := func(change func(i int, e *rows.Example)) []rows.Example {
		list := slices.Clone(loadDev(t).Examples[:40])
		for i := range list {
			change(i, &list[i])
		}
		return list
	}
	scores := func(i int, e *rows.Example) { e.Label, e.Score, e.HasScore = "", float64(i), true }
	for name, c := range map[string]struct {
		list   []rows.Example
		target rows.Target
		task   plan.Task
		text   string // "": they are right
	}{
		"labels":                  {set(func(int, *rows.Example) {}), rows.LabelTarget, plan.Classification, ""},
		"an unknown label, first": {set(func(i int, e *rows.Example) { e.Label = map[bool]string{true: "odd", false: e.Label}[i == 0] }), rows.LabelTarget, plan.Classification, "odd"},
		"an unknown label, last":  {set(func(i int, e *rows.Example) { e.Label = map[bool]string{true: "odd", false: e.Label}[i == 39] }), rows.LabelTarget, plan.Classification, "odd"},
		"labels for a regressor":  {set(func(int, *rows.Example) {}), rows.LabelTarget, plan.Regression, "no scores"},
		"scores for a classifier": {set(scores), rows.ScoreTarget, plan.Classification, "no labels"},
		"scores":                  {set(scores), rows.ScoreTarget, plan.Regression, ""},
		"one score":               {set(func(_ int, e *rows.Example) { scores(3, e) }), rows.ScoreTarget, plan.Regression, "all 40 scores are 3"},
		"sentences, not pairs":    {set(scores), rows.ScoreTarget, plan.Embedding, "judged on pairs"},
		"a row for scores":        {set(func(int, *rows.Example) {})[:1], rows.NoTarget, plan.Regression, "1 rows"},
		"no tokens to score":      {set(func(i int, e *rows.Example) { e.IDs = []int32{int32(5 + i)} }), rows.NoTarget, plan.CausalLM, "no scored token"},
	} {
		for _, f := range []*pruneFlags{{maxDrop: "1%", calib: "calib.tsv"}, {maxDrop: "1%", sparsity: 0.5, calib: "calib.tsv"}} {
			r, _, err := pruningOf(t, nil, f, &eval.Drop{Percent: 1})
			if err != nil {
				t.Fatal(err)
			}
			r.data, r.model.Task = &rows.Data{Name: "dev", Target: c.target, Examples: c.list}, c.task
			err = r.partRows()
			few := c.text == "1 rows" && f.searches() // which cannot be parted either
			if c.text == "" && err != nil || c.text != "" && (fault.KindOf(err) != fault.Corrupt || !few && !strings.Contains(err.Error(), c.text)) {
				t.Errorf("%s, %+v: %v, want %q", name, f, err, c.text)
			}
		}
	}
}

// TestAReserveTooSmall to correlate anything is left out, and that is said.
func TestAReserveTooSmall(t *testing.T) {
	all := loadDev(t).Examples
	for n := 5; n < len(all); n++ {
		list := slices.Clone(all[:n])
		for i := range list {
			list[i].Label, list[i].Score, list[i].HasScore = "", float64(i), true
		}
		a, b, c := eval.Partition(list, 0)
		if len(a) < 2 || len(b) < 2 || len(c) != 1 {
			continue
		}
		r, said, err := pruningOf(t, nil, &pruneFlags{maxDrop: "1%"}, &eval.Drop{Percent: 1})
		if err != nil {
			t.Fatal(err)
		}
		r.data, r.model.Task = &rows.Data{Name: "dev", Target: rows.ScoreTarget, Examples: list}, plan.Regression
		if err := r.partRows(); err != nil || len(r.parts) != 2 || !strings.Contains(said.String(), "no rows are set aside: ") {
			t.Errorf("%d parts, %v, told %s", len(r.parts), err, said)
		}
		return
	}
	t.Fatal("no file of such parts")
}

// TestPrunedBeforeIsSaid: of a model that has lost something already, a search says so, of others not.
func TestPrunedBeforeIsSaid(t *testing.T) {
	dir := t.TempDir()
	once, twice := filepath.Join(dir, "once"), filepath.Join(dir, "twice")
	for _, c := range []struct {
		args []string
		said bool
	}{
		{[]string{"prune", tinyModel, "-o", twice, "--calib", devRows, "--speedup", "1.1", "--budget", "1ns"}, false},
		{[]string{"prune", tinyModel, "-o", once, "--calib", devRows, "--sparsity", "0.3"}, false},
		{[]string{"prune", once, "-o", twice, "--calib", devRows, "--speedup", "1.1", "--budget", "1ns", "--force"}, true},
	} {
		code, said := codeOf(c.args...)
		if code != 0 || strings.Contains(said, "% of the encoder's weights are zero already") != c.said {
			t.Errorf("%q: exit %d, %s", c.args, code, said)
		}
	}
}

// TestScoresOfRecipe: the criterion is that of what was found, be it a scheme of another one.
func TestScoresOfRecipe(t *testing.T) {
	stats := &prune.Statistics{}
	for want, c := range map[string]struct {
		method string
		stats  *prune.Statistics
	}{
		"magnitude of the weights":             {"structured", nil},
		"obs, over 0 calibration tokens":       {"structured", stats},
		"energy, over 0 calibration tokens":    {"et-tile", stats},
		"magnitude, over 0 calibration tokens": {"et-tile:magnitude", stats},
	} {
		if c.stats != nil {
			stats.Add("w", nil)
			want = strings.Replace(want, "over 0", fmt.Sprint("over ", stats.Tokens()), 1)
		}
		if got, err := scoresOfRecipe(&prune.Recipe{Method: c.method}, c.stats); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", c.method, got, err, want)
		}
	}
}

// TestRecipeTooLarge: what no recipe can be is not read into memory.
func TestRecipeTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, recipeBytes+1); err != nil { // takes no room
		t.Fatal(err)
	}
	if code, said := codeOf("prune", tinyModel, "-o", path+".pruned", "--recipe", path); code != 4 || !strings.Contains(said, "too large for a recipe") {
		t.Errorf("exit %d, %s", code, said)
	}
}

// TestTextWithoutATokenizer is refused, and not passed over as rows without tokens are.
func TestTextWithoutATokenizer(t *testing.T) {
	data := &rows.Data{Name: "calib", Examples: []rows.Example{{Row: rows.Row{Line: 1, IDs: []int32{1, 2}}}, {Row: rows.Row{Line: 2, Text: "a"}}}}
	_, err := (&rowReader{longest: 8, model: &plan.Model{}}).draw(data, 0, 9, 99)
	if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one that names line 2", err)
	}
}
