package tokenizer

import (
	"bytes"
	"slices"
	"testing"
	"unicode/utf8"

	"etc/fault"
)

// fuzzTexts go through every tokenizer that a fuzzer finds.
var fuzzTexts = []string{"", "Hello, world! naïve 日本 don't", " [MASK]<new>a b\u0301 \x00\xff", "aaaaaaaab##b"}

// checkEncodings encodes text alone and as a pair and looks at every id.
func checkEncodings(t *testing.T, tok *Tokenizer, text string) (ids []int32) {
	t.Helper()
	e := tok.NewEncoder()
	single, pair := tok.Specials()
	for _, second := range []*string{nil, &text} {
		for _, most := range []int{0, max(single, pair) + 3} {
			var got Encoding
			err := e.Encode(&got, text, second, most)
			if (err == nil) != utf8.ValidString(text) {
				t.Fatalf("%q: error %v", text, err)
			}
			if err != nil {
				wantFault(t, err, fault.Corrupt)
				return nil
			}
			if len(got.IDs) != len(got.TypeIDs) || most > 0 && len(got.IDs) > most {
				t.Fatalf("%q: %d ids, %d type ids, at most %d", text, len(got.IDs), len(got.TypeIDs), most)
			}
			for i, id := range got.IDs {
				if tok.Token(id) == "" || got.TypeIDs[i] < 0 || int(got.TypeIDs[i]) >= tok.TypeCount() {
					t.Fatalf("%q: id %d, type id %d", text, id, got.TypeIDs[i])
				}
			}
			ids = append(ids, got.IDs...)
		}
	}
	return ids
}

// checkTokenizer wants tok to be unchanged by a journey in a plan.
func checkTokenizer(t *testing.T, tok *Tokenizer) {
	t.Helper()
	again := travelled(t, tok)
	for _, text := range fuzzTexts {
		if a, b := checkEncodings(t, tok, text), checkEncodings(t, again, text); !slices.Equal(a, b) {
			t.Fatalf("%q: %v, after a journey %v", text, a, b)
		}
	}
}

func wantKnownFault(t *testing.T, err error) {
	t.Helper()
	if k := fault.KindOf(err); k != fault.Corrupt && k != fault.Unsupported {
		t.Fatalf("error %v of kind %d", err, k)
	}
}

// FuzzTokenizerJSON gives file and config to New. as says which file it is.
func FuzzTokenizerJSON(f *testing.F) {
	for _, s := range []string{smallWordPiece, smallBPE} {
		f.Add([]byte(s), []byte(`{"tokenizer_class": "BertTokenizer", "model_max_length": 512}`), uint8(0))
	}
	f.Add([]byte("[UNK]\n[CLS]\n[SEP]\na\n##b\n"), []byte(`{"added_tokens_decoder": {"7": {"content": "x"}}}`), uint8(1))
	f.Add([]byte(`{"a": 0, "b": 1, "ab": 2}`), []byte("#version: 0.2\na b\n"), uint8(2))
	f.Add([]byte(`{"<s>": 0, "</s>": 1, "a": 2}`), []byte(`{"cls_token": "<s>", "sep_token": {"content": "</s>"}}`), uint8(3))
	for line := range bytes.Lines(readFile(f, "testdata/variants.jsonl")) {
		if i := bytes.Index(line, []byte(`"tokenizer": `)); i > 0 {
			f.Add(line[i+len(`"tokenizer": `):bytes.Index(line, []byte(`, "rows"`))], []byte("{}"), uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, file, beside []byte, as uint8) {
		var files Files
		switch as % 4 {
		case 0:
			files = Files{TokenizerJSON: file, TokenizerConfig: beside}
		case 1:
			files = Files{VocabTxt: file, TokenizerConfig: beside}
		case 2:
			files = Files{VocabJSON: file, MergesTxt: beside}
		case 3:
			files = Files{VocabJSON: file, MergesTxt: []byte{}, SpecialTokensMap: beside}
		}
		tok, err := New(files)
		switch {
		case err != nil:
			wantKnownFault(t, err)
		case tok != nil:
			checkTokenizer(t, tok)
		}
	})
}

// FuzzEncode gives any text to both algorithms.
func FuzzEncode(f *testing.F) {
	for _, s := range fuzzTexts {
		f.Add(s)
	}
	for _, r := range readGolden(f, gptDir+"/gpt2-wikitext.tokenizer.jsonl")[:60] {
		f.Add(r.Text)
	}
	tiny, gpt := load(f, tinyDir), load(f, gptDir)
	tinyAgain, gptAgain := travelled(f, tiny), travelled(f, gpt)
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range [][2]*Tokenizer{{tiny, tinyAgain}, {gpt, gptAgain}} {
			if a, b := checkEncodings(t, c[0], text), checkEncodings(t, c[1], text); !slices.Equal(a, b) {
				t.Fatalf("%q: %v, after a journey %v", text, a, b)
			}
		}
		if utf8.ValidString(text) {
			checkLossless(t, gpt, text)
		}
	})
}

// checkLossless wants the tokens of a byte-level BPE, which has every byte, to spell the text.
func checkLossless(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids, err := tok.NewEncoder().AppendIDs(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	byteOf := map[rune]byte{}
	for b, s := range byteText() {
		byteOf[[]rune(s)[0]] = byte(b)
	}
	var spelled []byte
	for _, id := range ids {
		if id == 0 {
			spelled = append(spelled, tok.Token(0)...) // <|endoftext|> stands for itself
			continue
		}
		for _, r := range tok.Token(id) {
			spelled = append(spelled, byteOf[r])
		}
	}
	if string(spelled) != text {
		t.Fatalf("%q became %q", text, spelled)
	}
}

// FuzzUnmarshal gives any bytes to Unmarshal. What it takes, Marshal gives back.
func FuzzUnmarshal(f *testing.F) {
	f.Add(smallForm())
	f.Add(mustNew(f, asItIs([]byte(smallWordPiece))).Marshal())
	f.Add(mustNew(f, asItIs([]byte(smallBPE))).Marshal())
	f.Fuzz(func(t *testing.T, form []byte) {
		tok, err := Unmarshal(form)
		if err != nil {
			wantKnownFault(t, err)
			return
		}
		if !bytes.Equal(tok.Marshal(), form) {
			t.Fatalf("%x became %x", form, tok.Marshal())
		}
		checkTokenizer(t, tok)
	})
}
