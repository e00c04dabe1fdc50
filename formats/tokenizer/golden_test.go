package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A goldenRow is a line of what Hugging Face answered.
type goldenRow struct {
	Text      string  `json:"text"`
	Pair      *string `json:"text_pair"`
	MaxLength int     `json:"max_length"`
	IDs       []int32 `json:"ids"`
	TypeIDs   []int32 `json:"type_ids"`
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readGolden(t testing.TB, path string) []goldenRow {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []goldenRow
	for s := bufio.NewScanner(f); s.Scan(); {
		var r goldenRow
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatalf("%s: no rows", path)
	}
	return rows
}

// load makes the tokenizer of a checkpoint folder.
func load(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	return mustNew(t, Files{
		TokenizerJSON:   readFile(t, filepath.Join(dir, "tokenizer.json")),
		TokenizerConfig: readFile(t, filepath.Join(dir, "tokenizer_config.json")),
	})
}

func mustNew(t testing.TB, f Files) *Tokenizer {
	t.Helper()
	tok, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	if tok == nil {
		t.Fatal("no tokenizer in the files")
	}
	return tok
}

// travelled is tok after a journey in a plan.
func travelled(t testing.TB, tok *Tokenizer) *Tokenizer {
	t.Helper()
	again, err := Unmarshal(tok.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// checkGolden compares every row of a golden file, from files and from a plan.
// withTypes says whether the file's type ids, where it has that column, are to be followed.
func checkGolden(t *testing.T, tok *Tokenizer, path string) {
	t.Helper()
	for _, e := range []*Encoder{tok.NewEncoder(), travelled(t, tok).NewEncoder()} {
		var got Encoding
		for i, r := range readGolden(t, path) {
			if err := e.Encode(&got, r.Text, r.Pair, r.MaxLength); err != nil {
				t.Fatalf("%s:%d: %v", filepath.Base(path), i+1, err)
			}
			if !slices.Equal(got.IDs, r.IDs) {
				t.Errorf("%s:%d: %q:\n got %v\nwant %v", filepath.Base(path), i+1, r.Text, got.IDs, r.IDs)
			}
			want := r.TypeIDs
			if want == nil && (r.Pair == nil || !tok.ReturnsTypeIDs()) {
				want = make([]int32, len(r.IDs))
			}
			if !slices.Equal(got.TypeIDs, want) {
				t.Errorf("%s:%d: %q: type ids\n got %v\nwant %v", filepath.Base(path), i+1, r.Text, got.TypeIDs, want)
			}
		}
	}
}

const (
	tinyDir = "../../testdata/tiny-sst2"
	gptDir  = "testdata/gpt2-wikitext"
)

func TestGoldensWordPiece(t *testing.T) {
	tok := load(t, tinyDir)
	for _, kind := range []string{"tokenizer", "tokenizer-pairs", "truncation"} {
		checkGolden(t, tok, "../../testdata/goldens/tiny-sst2."+kind+".jsonl")
	}
}

func TestGoldensByteLevelBPE(t *testing.T) {
	tok := load(t, gptDir)
	for _, kind := range []string{"tokenizer", "tokenizer-pairs", "truncation"} {
		checkGolden(t, tok, gptDir+"/gpt2-wikitext."+kind+".jsonl")
	}
}

const shared = "../../../shared/"

// needShared fails with what is missing, rather than pass without it.
func needShared(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		t.Fatalf("this test needs the folder shared beside the repository: %v", err)
	}
}

func TestModelsGoldens(t *testing.T) {
	needShared(t)
	for _, model := range []string{"tiny-sst2", "all-MiniLM-L6-v2", "gpt2-wikitext"} {
		tok := load(t, shared+"models/"+model)
		for _, kind := range []string{"tokenizer", "tokenizer-pairs", "truncation"} {
			checkGolden(t, tok, shared+"goldens/"+model+"."+kind+".jsonl")
		}
	}
	for _, model := range []string{"tiny-sst2", "minilm-sst2", "distil-minilm-sst2"} {
		checkGolden(t, load(t, shared+"models/"+model), shared+"goldens/"+model+".sst2-dev.jsonl")
	}
}

// TestModelsVocabTxt reads all-MiniLM-L6-v2 from its vocab.txt.
func TestModelsVocabTxt(t *testing.T) {
	needShared(t)
	dir := shared + "models/all-MiniLM-L6-v2/"
	tok := mustNew(t, Files{
		VocabTxt:         readFile(t, dir+"vocab.txt"),
		TokenizerConfig:  readFile(t, dir+"tokenizer_config.json"),
		SpecialTokensMap: readFile(t, dir+"special_tokens_map.json"),
	})
	for _, kind := range []string{"tokenizer", "tokenizer-pairs", "truncation"} {
		checkGolden(t, tok, shared+"goldens/all-MiniLM-L6-v2."+kind+".jsonl")
	}
}

// TestModelsDocument tokenises WikiText whole and compares the windows that the goldens list.
func TestModelsDocument(t *testing.T) {
	needShared(t)
	text := string(readFile(t, shared+"data/wikitext2/valid.txt"))
	for _, model := range []string{"gpt2-wikitext", "transformer-lm-wikitext"} {
		ids, err := load(t, shared+"models/"+model).NewEncoder().AppendIDs(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range readGolden(t, shared+"goldens/"+model+".valid.jsonl") {
			n := len(r.IDs)
			if got := ids[i*n : (i+1)*n]; !slices.Equal(got, r.IDs) {
				t.Fatalf("%s: window %d:\n got %v\nwant %v", model, i, got, r.IDs)
			}
		}
	}
}

// TestCodePoints compares what the normaliser and the pre-tokeniser make of
// each code point where Hugging Face's Unicode tables are not Go's.
func TestCodePoints(t *testing.T) {
	n := newNormalizer(normalizerOptions{on: true, cleanText: true, chineseChars: true, stripAccents: true, lowercase: true})
	var marks []mark
	rows := 0
	for line := range strings.Lines(string(readFile(t, "testdata/bert-normalizer.codepoints.tsv"))) {
		if line[0] == '#' {
			continue
		}
		rows++
		columns := strings.Split(strings.TrimSpace(line), "\t")
		char, err := strconv.ParseInt(columns[0], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		var normal string
		var words []string
		if err := json.Unmarshal([]byte(columns[2]), &normal); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(columns[3]), &words); err != nil {
			t.Fatal(err)
		}
		text := []byte("a" + string(rune(char)) + "b")
		if got := string(n.append(nil, text, &marks)); got != normal {
			t.Errorf("U+%04X: normalised %q, want %q", char, got, normal)
		}
		if got := bertWords(text); !slices.Equal(got, words) {
			t.Errorf("U+%04X: words %q, want %q", char, got, words)
		}
	}
	if rows != 624 {
		t.Errorf("%d rows, want 624", rows)
	}
}

// bertWords are the words that appendWordPieces sees.
func bertWords(text []byte) (words []string) {
	word := ""
	for len(text) > 0 {
		class, size := bertClass(text)
		if class != inWord && word != "" {
			words, word = append(words, word), ""
		}
		switch class {
		case inWord:
			word += string(text[:size])
		case punctuation:
			words = append(words, string(text[:size]))
		}
		text = text[size:]
	}
	if word != "" {
		words = append(words, word)
	}
	return words
}
