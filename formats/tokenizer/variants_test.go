package tokenizer

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// TestVariants compares small tokenizers of every setting and post-processor,
// added tokens of every kind among them, with what Hugging Face tokenizers 0.23.3 answered (testdata/variants.jsonl).
func TestVariants(t *testing.T) {
	for line := range bytes.Lines(readFile(t, "testdata/variants.jsonl")) {
		var v struct {
			Name      string
			Tokenizer json.RawMessage
			Rows      []goldenRow
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		t.Run(v.Name, func(t *testing.T) {
			tok := mustNew(t, Files{TokenizerJSON: v.Tokenizer, TokenizerConfig: []byte(`{"tokenizer_class": "TokenizersBackend", "model_input_names": ["token_type_ids"]}`)})
			for _, e := range []*Encoder{tok.NewEncoder(), travelled(t, tok).NewEncoder()} {
				checkRows(t, e, v.Rows)
			}
		})
	}
}

func checkRows(t *testing.T, e *Encoder, rows []goldenRow) {
	t.Helper()
	var got Encoding
	for _, r := range rows {
		if err := e.Encode(&got, r.Text, r.Pair, r.MaxLength); err != nil {
			t.Fatalf("%+q: %v", r.Text, err)
		}
		if !slices.Equal(got.IDs, r.IDs) || !slices.Equal(got.TypeIDs, r.TypeIDs) {
			t.Errorf("%+q, at most %d:\n got %v %v\nwant %v %v", r.Text, r.MaxLength, got.IDs, got.TypeIDs, r.IDs, r.TypeIDs)
		}
	}
}

// TestMarkOrder covers what no list of single code points can: the order NFD
// gives to marks that stay (Hugging Face tokenizers 0.23.3).
func TestMarkOrder(t *testing.T) {
	n := newNormalizer(normalizerOptions{on: true, cleanText: true, chineseChars: true, stripAccents: true, lowercase: true})
	var marks []mark
	for text, want := range map[string]string{
		"a\u07fd\u0c3c":              "a\u07fd\u0c3c",     // classes that came after
		"a\u08d4\u302e":              "a\u302e\u08d4",     // classes known
		"a\u08d4\u1715":              "a\u08d4\u1715",     // Mc whose class came after
		"a\u302e\u0323\U0001d165":    "a\U0001d165\u302e", // the Mn between goes, the others change places
		"a\u302e\u0903\U0001d165":    "a\u302e\u0903\U0001d165",
		"a\u302e\u034f\U0001d165":    "a\u302e\U0001d165", // U+034F is dropped and still a border
		"a\u302e\x01\U0001d165":      "a\U0001d165\u302e", // U+0001 is gone before
		"\uac01\u3131\u1e9b\u0323\t": "\u1100\u1161\u11a8\u3131\u017f ",
	} {
		if got := string(n.append(nil, []byte(text), &marks)); got != want {
			t.Errorf("%+q: %+q, want %+q", text, got, want)
		}
	}
}

// TestByteLevelClasses checks each range of testdata/byte-level.codepoints.tsv at both ends and beside them.
func TestByteLevelClasses(t *testing.T) {
	if len(classDeltas) != 29 {
		t.Fatalf("%d ranges, want 29", len(classDeltas))
	}
	for r, want := range map[rune]uint8{
		0x1c88: isLetter, 0x1c8a: isLetter, 0x1c8b: isSymbol, 0x10d40: isNumber, 0x10d49: isNumber, 0x10d4a: isLetter,
		0x2ebf0: isLetter, 0x2ee5d: isLetter, 0x2ee5e: isSymbol, 0x2028: isSpace, 0x85: isSpace, 0x200b: isSymbol, 0xbd: isNumber, 0x2163: isNumber,
	} {
		if got := runeClass(r); got != want {
			t.Errorf("U+%04X: class %d, want %d", r, got, want)
		}
	}
}

// TestWordEnd checks the scanner against matches of the GPT-2 expression.
func TestWordEnd(t *testing.T) {
	for text, want := range map[string][]string{
		"X'mas 'S's":    {"X", "'m", "as", " '", "S", "'s"},
		"we'll've'r":    {"we", "'ll", "'ve", "'", "r"},
		"  two\n\n a":   {" ", " two", "\n\n", " a"},
		"a \u00a0b":     {"a", " ", "\u00a0", "b"},
		"tail \t ":      {"tail", " \t "},
		" ":             {" "},
		"x²+y½ 12ab":    {"x", "²", "+", "y", "½", " 12", "ab"},
		" \u2003 !!'ll": {" \u2003", " !!'", "ll"},
		"'":             {"'"},
		"é日 ٣":          {"é日", " ٣"},
	} {
		var got []string
		for rest := []byte(text); len(rest) > 0; {
			n := wordEnd(rest)
			got, rest = append(got, string(rest[:n])), rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+q: %+q, want %+q", text, got, want)
		}
	}
}

// TestAddedTokensNormalisedAlike: where Hugging Face takes either of two by
// chance the first holds, and a token that normalises to nothing, over which it panics, is never found.
func TestAddedTokensNormalisedAlike(t *testing.T) {
	file := changed(t, smallWordPiece, `{"id": 4, "content": "<new>"}`,
		`{"id": 4, "content": "QÉ", "normalized": true}, {"id": 5, "content": "qe", "normalized": true}, {"id": 6, "content": "\u0301", "normalized": true}`)
	tok := mustNew(t, asItIs(file))
	for _, e := range []*Encoder{tok.NewEncoder(), travelled(t, tok).NewEncoder()} {
		ids, err := e.AppendIDs(nil, "a\u0301 qE")
		if want := []int32{1, 4}; err != nil || !slices.Equal(ids, want) {
			t.Errorf("ids %v, %v; want %v", ids, err, want)
		}
	}
}
