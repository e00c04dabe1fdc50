package rows

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etc/fault"
)

func load(in, name, columns string) (*Data, error) {
	return Load(strings.NewReader(in), name, DataOptions{Columns: columns})
}

// showData prints data in the way the tables below write it.
func showData(d *Data) string {
	var s strings.Builder
	if d.Examples == nil {
		return fmt.Sprintf("text %q", d.Text)
	}
	for _, e := range d.Examples {
		fmt.Fprintf(&s, "%d %s", e.Line, strings.TrimPrefix(show(&e.Row), "id= "))
		if e.Label != "" {
			s.WriteString(" " + e.Label)
		}
		if e.HasScore {
			fmt.Fprint(&s, " =", e.Score)
		}
		s.WriteString("; ")
	}
	return s.String() + d.Target.String()
}

func TestDataFiles(t *testing.T) {
	for _, c := range []struct{ name, in, columns, want string }{
		{"a.tsv", "one \"quoted\tword\t0\n", "", ""},
		{"two columns", "a \"b\t0\r\n\nc\t1", "", `1 "a \"b" 0; 3 "c" 1; a label`},
		{"byte-order mark", bom + "a\t0\n", "", `1 "a" 0; a label`},
		{"two columns with a header", "sentence\tlabel\na\t0\n", "", `2 "a" 0; a label`},
		{"like a header", "sentence\t1\n", "", `1 "sentence" 1; a label`},
		{"STS-B", "g\tf\ty\t1\t2.50\tA \"x\t\"B\ng\tf\ty\t2\t5\tC\tD\tsource\tsource\n", "", `1 "A \"x"+"\"B" =2.5; 2 "C"+"D" =5; a score`},
		{"header", "idx\tSentence1\tsentence2\tsentence\tlabel\n1\ta\tb\tc\tyes\n", "", `2 "a"+"b" yes; a label`},
		{"columns by name", "input_ids\tpair\ttext\ttext2\tlabel\nx\ty\ta\tb\t1\n", "", `2 "a"+"b" 1; a label`},
		{"QNLI", "index\tquestion\tsentence\tlabel\n0\ta?\tb\tentailment\n", "", `2 "a?"+"b" entailment; a label`},
		{"QNLI in another order", "sentence\tlabel\tquestion\nb\t1\ta?\n", "", `2 "a?"+"b" 1; a label`},
		{"QQP", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\ta\tb\t0\n", "", `2 "a"+"b" 0; a label`},
		{"MNLI", "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n" +
			"0\t1\t2\tg\tp\tq\tr\ts\ta\tb\tneutral\tentailment\n", "", `2 "a"+"b" entailment; a label`},
		{"RTE, WNLI", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n", "", `2 "a"+"b" not_entailment; a label`},
		{"MRPC", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta\tb\n", "", `2 "a"+"b" 1; a label`},
		{"STS-B of GLUE", "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tg\tf\ty\t1\ts\tt\ta\tb\t5.000\n", "", `2 "a"+"b" =5; a score`},
		{"NLI", "Premise\tHypothesis\tLabel\na\tb\t2\n", "", `2 "a"+"b" 2; a label`},
		{"a question alone", "question\tpassage\tlabel\na\tb\t1\n", "", ""},
		{"quality is no label", "text\tquality\tx\na\tb\t1\n", "", ""},
		{"score header", "score\ttext\n-1e1\ta\n", "", `2 "a" =-10; a score`},
		{"flag by number", "0\tx\ta\n1\ty\tb\n", "text=3,pair=2,label=1", `1 "a"+"x" 0; 2 "b"+"y" 1; a label`},
		{"flag by name", "Quality\t#1 String\n1\ta\n", "text=#1 String,label=Quality", `2 "a" 1; a label`},
		{"flag for calibration", "a\tb\n", "text=2", `1 "b"; neither label nor score`},
		{"flag for a score", "a\t1\n", "score=2,text=1", `1 "a" =1; a score`},
		{"JSONL", "{\"text\":\"a\",\"label\":1}\n\n{\"ids\":[4],\"label\":\"no\\n\"}", "", "1 \"a\" 1; 3 [4] [] no\n; a label"},
		{"scores.jsonl", ` {"text":"a","text_pair":"b","score":0.5,"label":null}`, "", `1 "a"+"b" =0.5; a score`},
		{"rows", `{"ids":[1]}`, "", `1 [1] []; neither label nor score`},
		{"wiki", " = A = \r\n\n b\r\n", "", `text " = A = \n\n b\n"`},
		{"empty", "", "", `text ""`},
	} {
		d, err := load(c.in, c.name, c.columns)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: taken as %s", c.name, showData(d))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := showData(d); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestDataErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct {
		in, columns string
		kind        fault.Kind
		want        string
	}{
		{"a\t0\nb\n", "", fault.Corrupt, "f: line 2: 1 columns, want 2"},
		{"a\t0\nb\tc\t1\n", "", fault.Corrupt, "f: line 2: 3 columns, want 2"},
		{"a\t0\nb\t\n", "", fault.Corrupt, "f: line 2: empty label, want a class name or number"},
		{"a\t0\n\n\xff\t1\n", "", fault.Corrupt, "f: line 3: invalid UTF-8, want UTF-8"},
		{"\xff\t1\n", "", fault.Corrupt, "f: line 1: invalid UTF-8, want UTF-8"},
		{"g\tf\ty\t1\t2.5\tA\tB\ng\tf\ty\t1\tnan\tA\tB\n", "", fault.Corrupt, `f: line 2: score "nan", want a number`},
		{"score\ttext\n-Inf\ta\n", "", fault.Corrupt, `f: line 2: score "-Inf", want a number`},
		{"g\tf\ty\t1\t2.5\tA\tB\ng\tf\ty\t1\t1\tA\n", "", fault.Corrupt, "f: line 2: 6 columns, want at least 7"},
		{"a\tb\tc\n", "", fault.Corrupt, `f: line 1: 3 columns beginning "a", want text and label, STS-B, or a header naming text (sentence, sentence1) and label or score`},
		{"text\tlabel\n", "", fault.Corrupt, "f: no rows, want at least one"},
		{"text\tlabel\tscore\na\t1\t2\n", "", fault.Corrupt, `f: line 2: both "label" and "score", want one of them`},
		{"{\"text\":\"a\",\"label\":0}\n{\"text\":\"b\"}", "", fault.Corrupt, "f: line 2: neither label nor score, want a label as in the lines before"},
		{"{\"text\":\"a\"}\n{\"text\":\"b\",\"score\":1}", "", fault.Corrupt, "f: line 2: a score, want neither label nor score as in the lines before"},
		{`{"text":"a","label":true}`, "", fault.Corrupt, `f: line 1: "label": got a boolean, want a string or a number`},
		{`{"text":"a","label":""}`, "", fault.Corrupt, "f: line 1: empty label, want a class name or number"},
		{`{"text":"a","score":"1"}`, "", fault.Corrupt, `f: line 1: score "\"1\"", want a number`},
		{`{"text":"a","score":1e999}`, "", fault.Corrupt, `f: line 1: score "1e999", want a number`},
		{`{"text":"a","sentence2":"b","score":1}`, "", fault.Corrupt, `f: line 1: "sentence2" is no key of rows, want "text_pair"`},
		{`{"text":1,"score":1}`, "", fault.Corrupt, `f: line 1: "text": got a number, want a string`},
		{"plain\n\xff", "", fault.Corrupt, "f: invalid UTF-8, want UTF-8"},
		{"plain", "text=1", fault.Usage, "f: columns text=1 given, want a file with a tab in its first line"},
		{"a\tb", "text=0", fault.Usage, `f: line 1: columns "text=0": no column "0" among 2`},
		{"a\tb", "text=3", fault.Usage, `f: line 1: columns "text=3": no column "3" among 2`},
		{"a\tb", "text=c", fault.Usage, `f: line 1: columns "text=c": no column "c" among 2`},
		{"a\tb", "label=1", fault.Usage, `f: line 1: columns "label=1", want text among them`},
		{"a\tb", "text=1,id=2", fault.Usage, `f: line 1: columns "text=1,id=2": "id=2", want each of text, pair, label, score once at most, as in text=1`},
		{"a\tb", "text=1,text=2", fault.Usage, `f: line 1: columns "text=1,text=2": "text=2", want each of text, pair, label, score once at most, as in text=1`},
	} {
		_, err := load(c.in, "f", c.columns)
		if err == nil {
			t.Errorf("%q was taken", c.in)
			continue
		}
		if got, _, _ := strings.Cut(err.Error(), "\n"); got != c.want || fault.KindOf(err) != c.kind {
			t.Errorf("%q:\n got %d %s\nwant %d %s", c.in, fault.KindOf(err), got, c.kind, c.want)
		}
	}
	long := "a\t0\n" + strings.Repeat("x", MaxLine) + "\t1\n"
	if _, err := load(long, "f", ""); err == nil || err.Error() != "f: line 2: over 16 MB, want a shorter line" {
		t.Errorf("a long line: %v", err)
	}
}

func TestLimit(t *testing.T) {
	d, err := Load(strings.NewReader("a\t0\nb\t1\nbroken"), "f", DataOptions{Limit: 2})
	if err != nil || len(d.Examples) != 2 {
		t.Fatalf("%v, %v", d, err)
	}
}

func TestMissingDataFileIsUsage(t *testing.T) {
	if _, err := LoadFile(filepath.Join(t.TempDir(), "none"), DataOptions{}); fault.KindOf(err) != fault.Usage {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(path, []byte("a\t0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := LoadFile(path, DataOptions{}); err != nil || d.Name != path || len(d.Examples) != 1 {
		t.Fatal(d, err)
	}
}

func loadShared(t *testing.T, parts ...string) *Data {
	t.Helper()
	d, err := LoadFile(filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...), DataOptions{})
	if err != nil {
		t.Fatalf("this test needs the folder shared beside the repository: %v", err)
	}
	return d
}

// stsbDevScores is awk's sum of column 5.
const stsbDevScores = "3545.861"

func TestModelsDataFiles(t *testing.T) {
	sts := loadShared(t, "stsb", "sts-dev.csv")
	if len(sts.Examples) != 1500 || sts.Target != ScoreTarget {
		t.Errorf("STS-B: %d rows, %s", len(sts.Examples), sts.Target)
	}
	quoted, sum := 0, 0.0
	for _, e := range sts.Examples {
		quoted += strings.Count(e.Text+*e.Pair, `"`)
		sum += e.Score
	}
	if quoted == 0 || fmt.Sprintf("%.3f", sum) != stsbDevScores {
		t.Errorf("STS-B: %d quotes, scores sum to %.3f", quoted, sum)
	}
	sst := loadShared(t, "sst2", "dev.tsv")
	positive := 0
	for _, e := range sst.Examples {
		if e.Label == "1" {
			positive++
		}
	}
	if len(sst.Examples) != 872 || sst.Target != LabelTarget || positive != 444 {
		t.Errorf("SST-2: %d rows, %s, %d positive", len(sst.Examples), sst.Target, positive)
	}
	wiki := loadShared(t, "wikitext2", "valid.txt")
	if wiki.Examples != nil || len(wiki.Text) != 1121681 {
		t.Errorf("WikiText-2: %d examples, %d bytes", len(wiki.Examples), len(wiki.Text))
	}
}

func FuzzExamples(f *testing.F) {
	for _, s := range []string{"a\t0\n", "g\tf\ty\t1\t2.5\tA\tB\n", "text\tscore\nb\t1e5", `{"text":"a","label":"x"}`, "plain\r\n", bom + "\t\t\n", "sentence\tlabel\tscore\n"} {
		for _, columns := range []string{"", "text=1,label=2", "text=text,pair=b,score=2"} {
			f.Add([]byte(s), columns, 3)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, columns string, limit int) {
		d, err := Load(strings.NewReader(string(in)), "f", DataOptions{Columns: columns, Limit: limit})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.Usage {
				t.Fatalf("kind %d: %v", k, err)
			}
			return
		}
		if limit > 0 && len(d.Examples) > limit {
			t.Fatalf("%d examples, limit %d", len(d.Examples), limit)
		}
		for _, e := range d.Examples {
			if e.Err != nil || e.Line < 1 || (e.Label != "") != (d.Target == LabelTarget) || e.HasScore != (d.Target == ScoreTarget) {
				t.Fatalf("%+v of %s", e, d.Target)
			}
		}
	})
}
