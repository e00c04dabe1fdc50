package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"etc/fault"
)

// wantFault checks an error's kind and that its one line names what it is about.
func wantFault(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if _, ok := errors.AsType[*fault.Error](err); !ok || fault.KindOf(err) != kind {
		t.Fatalf("error %v (%d), want kind %d", err, fault.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// Small files for tests to break. Each change replaces old by new, which must be there.
const (
	smallWordPiece = `{"added_tokens": [{"id": 2, "content": "[CLS]", "special": true}, {"id": 4, "content": "<new>"}],
		"normalizer": {"type": "BertNormalizer", "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
		"post_processor": {"type": "TemplateProcessing",
			"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
			"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
			"special_tokens": {"[CLS]": {"ids": [2]}}},
		"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1, "[CLS]": 2, "##b": 3}}}`
	smallBPE = `{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "post_processor": null,
		"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3, "Ġ": 4}, "merges": ["a b"]}}`

	// spaced is smallBPE with a space before each text.
	spaced = `{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true},
		"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3, "Ġ": 4}, "merges": ["a b"]}}`

	// smallBERT has all that BERT's classes put into a tokenizer.
	smallBERT = `{"added_tokens": [],
		"normalizer": {"type": "BertNormalizer", "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
		"post_processor": {"type": "TemplateProcessing",
			"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
			"pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
				{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
			"special_tokens": {"[CLS]": {"ids": [2]}, "[SEP]": {"ids": [3]}}},
		"model": {"type": "WordPiece", "unk_token": "[UNK]",
			"vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "A": 6, "é": 7, "É": 8, "##b": 9}}}`
)

// asItIs are the files of a class that takes tokenizer.json as it is.
func asItIs(file []byte) Files {
	return Files{TokenizerJSON: file, TokenizerConfig: []byte(`{"tokenizer_class": "TokenizersBackend"}`)}
}

func changed(t testing.TB, file, old, new string) []byte {
	t.Helper()
	if !strings.Contains(file, old) {
		t.Fatalf("%q is not in the file to change", old)
	}
	return []byte(strings.Replace(file, old, new, 1))
}

func TestTokenizerJSONRefused(t *testing.T) {
	const no, bad = fault.Unsupported, fault.Corrupt
	for _, c := range []struct {
		file, old, new string
		kind           fault.Kind
		words          string // space-separated, all in the error
	}{
		{smallWordPiece, `"BertNormalizer"`, `"NFC"`, no, `normalizer "NFC" BertNormalizer`},
		{smallWordPiece, `"BertPreTokenizer"`, `"Whitespace"`, no, `pre_tokenizer "Whitespace" BertPreTokenizer`},
		{smallWordPiece, `{"type": "BertPreTokenizer"}`, `null`, no, `pre_tokenizer "none" BertPreTokenizer`},
		{smallWordPiece, `"TemplateProcessing"`, `"Sequence"`, no, `post_processor "Sequence" RobertaProcessing`},
		{smallWordPiece, `"type": "WordPiece"`, `"type": "WordLevel"`, no, `model "WordLevel" BPE`},
		{smallWordPiece, `"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1, "[CLS]": 2, "##b": 3}`, `"type": "Unigram", "vocab": [["a", -1.5]]`, no, `model "Unigram" WordPiece`},
		{smallWordPiece, `"unk_token": "[UNK]"`, `"max_input_chars_per_word": 257`, no, `257 256`},
		{smallWordPiece, `"unk_token": "[UNK]"`, `"max_input_chars_per_word": 0`, bad, `max_input_chars_per_word`},
		{smallWordPiece, `"unk_token": "[UNK]"`, `"unk_token": "nobody"`, bad, `unk_token`},
		{smallWordPiece, `"A", "type_id": 0}}]`, `"B", "type_id": 0}}]`, no, `"single" sequence`},
		{smallWordPiece, `"type_id": 1`, `"type_id": 256`, no, `256`},
		{smallWordPiece, `"type_id": 1`, `"type_id": -1`, no, `-1`},
		{smallWordPiece, `"ids": [2]`, `"ids": [5]`, bad, `id 5`},
		{smallWordPiece, `"ids": [2]`, `"ids": [2` + strings.Repeat(", 2", 99) + `]`, no, `"single" 64`},
		{smallWordPiece, `"id": "[CLS]"`, `"id": "[SEP]"`, bad, `template`},
		{smallWordPiece, `"a": 1`, `"a": 0`, bad, `same id 0 "a" "[UNK]"`},
		{smallWordPiece, `"a": 1`, `"a": 1, "a": 4`, bad, `"a" twice`},
		{smallWordPiece, `"a": 1`, `"a": -1`, bad, `"a" -1`},
		{smallWordPiece, `"a": 1`, `"a": 1.5`, bad, `"a" 1.5`},
		{smallWordPiece, `"a": 1`, `"a": "1"`, bad, `vocabulary`},
		{smallWordPiece, `"a": 1`, `"a": 16000000`, bad, `"a" 16000000`},
		{smallWordPiece, `"a": 1`, `"a": 4294967297`, bad, `"a" 4294967297`},
		{smallWordPiece, `"vocab": {"[UNK]": 0, "a": 1, "[CLS]": 2, "##b": 3}`, `"x": 1`, bad, `vocabulary`},
		{smallWordPiece, `"id": 2, "content": "[CLS]"`, `"id": 3, "content": "[CLS]"`, bad, `"[CLS]" 3 2`},
		{smallWordPiece, `"id": 4, "content": "<new>"`, `"id": 3, "content": "<new>"`, bad, `"<new>" "##b" 3`},
		{smallWordPiece, `"id": 4, "content": "<new>"`, `"id": 2, "content": "[CLS]"`, bad, `"[CLS]" twice`},
		{smallWordPiece, `"id": 4, `, ``, bad, `"<new>"`},
		{smallWordPiece, `"id": 4`, `"id": 9000000`, bad, `"<new>"`},
		{smallWordPiece, `<new>`, strings.Repeat("<", 257), no, `257 256`},
		{smallWordPiece, `{"added`, `["added`, bad, `tokenizer.json`},
		{smallWordPiece, `"a": 1`, "\"\xff\": 1", bad, `UTF-8`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "dropout": 0.1`, no, `dropout 0.1`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "byte_fallback": true`, no, `byte_fallback`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "ignore_merges": true`, no, `ignore_merges`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "continuing_subword_prefix": "##"`, no, `continuing_subword_prefix ##`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "end_of_word_suffix": "</w>"`, no, `end_of_word_suffix </w>`},
		{smallBPE, `"type": "BPE"`, `"type": "BPE", "unk_token": "x"`, bad, `unk_token "x"`},
		{smallBPE, `"ByteLevel"`, `"Metaspace"`, no, `pre_tokenizer "Metaspace" ByteLevel`},
		{smallBPE, `"add_prefix_space": false`, `"use_regex": false`, no, `use_regex`},
		{smallBPE, `"post_processor": null`, `"normalizer": {"type": "NFC"}`, no, `normalizer "NFC"`},
		{smallBPE, `"post_processor": null`, `"post_processor": {"type": "BertProcessing", "sep": ["</s>"], "cls": ["<s>", 0]}`, bad, `["</s>"]`},
		{smallBPE, `"a b"`, `"a x"`, bad, `"a" "x"`},
		{smallBPE, `"a b"`, `"b a"`, bad, `"b" "a"`},
		{smallBPE, `"a b"`, `"a b c"`, bad, `"a b c"`},
		{smallBPE, `"a b"`, `"ab"`, bad, `"ab"`},
		{smallBPE, `"a b"`, `["a"]`, bad, `merge`},
		{smallBPE, `"a b"`, `7`, bad, `tokenizer.json`},
	} {
		t.Run(c.new[:min(40, len(c.new))], func(t *testing.T) {
			_, err := New(asItIs(changed(t, c.file, c.old, c.new)))
			wantFault(t, err, c.kind, strings.Fields(c.words)...)
		})
	}
	for _, file := range []string{smallWordPiece, smallBPE} {
		mustNew(t, asItIs([]byte(file)))
	}
}

// TestBlocksIgnored: truncation, padding and decoder do not decide ids, whatever they say.
func TestBlocksIgnored(t *testing.T) {
	plain := mustNew(t, asItIs([]byte(smallWordPiece)))
	with := mustNew(t, asItIs(changed(t, smallWordPiece, `{"added`, `{"truncation": {"max_length": 1}, "padding": {"strategy": {"Fixed": 9}}, "decoder": {"type": "Odd"}, "added`)))
	if !bytes.Equal(plain.Marshal(), with.Marshal()) {
		t.Error("truncation, padding or decoder changed the tokenizer")
	}
}

func TestNoTokenizer(t *testing.T) {
	if tok, err := New(Files{TokenizerConfig: []byte("{}")}); tok != nil || err != nil {
		t.Errorf("New = %v, %v, want nil, nil", tok, err)
	}
}

func TestVocabTxt(t *testing.T) {
	const vocab = "[PAD]\n[UNK]\n[CLS]\r\n[SEP]\n[MASK]\na\n##b\nA\né\n"
	encode := func(config, text string) string {
		tok := mustNew(t, Files{VocabTxt: []byte(vocab), TokenizerConfig: []byte(config)})
		ids, err := tok.NewEncoder().AppendIDs(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		return words(tok, ids)
	}
	for _, c := range []struct{ config, text, want string }{
		{`{}`, "Ab é[SEP]", "a ##b [UNK] [SEP]"},
		{`{"do_lower_case": false}`, "Ab é", "A ##b é"},
		{`{"do_lower_case": false, "strip_accents": true, "tokenizer_class": "BertTokenizer"}`, "A é", "A [UNK]"},
		{`{"do_lower_case": true, "strip_accents": false}`, "A É", "a é"},
		{`{"tokenize_chinese_chars": false, "unk_token": {"content": "[PAD]"}}`, "日a", "[PAD]"},
		{`{"tokenize_chinese_chars": true}`, "日a", "[UNK] a"},
		{`{"added_tokens_decoder": {"9": {"content": "<x>", "rstrip": true}}}`, "a<x> a", "a <x> a"},
	} {
		for _, class := range []string{"", `"tokenizer_class": "BertTokenizerFast", `} {
			config := c.config
			if !strings.Contains(config, "tokenizer_class") {
				config = strings.Replace(strings.Replace(config, "{", "{"+class, 1), ", }", "}", 1)
			}
			if got := encode(config, c.text); got != c.want {
				t.Errorf("%s: %q: %q, want %q", config, c.text, got, c.want)
			}
		}
	}
	tok := mustNew(t, Files{VocabTxt: []byte(vocab + "a\n")})
	if ids, _ := tok.NewEncoder().AppendIDs(nil, "a"); !slices.Equal(ids, []int32{9}) {
		t.Errorf("a token on two lines has ids %v, want the later line, 9", ids)
	}
	_, err := New(Files{VocabTxt: []byte(vocab), TokenizerConfig: []byte(`{"tokenizer_class": "MPNetTokenizer"}`)})
	wantFault(t, err, fault.Unsupported, "MPNetTokenizer", "BertTokenizer")
	_, err = New(Files{VocabTxt: []byte("a\n[UNK]\n[CLS]\n")})
	wantFault(t, err, fault.Corrupt, "[SEP]")
	_, err = New(Files{VocabTxt: []byte("\xff\n")})
	wantFault(t, err, fault.Corrupt, "vocab.txt")
}

// words are the tokens of ids, with spaces between.
func words(tok *Tokenizer, ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, tok.Token(id))
	}
	return strings.Join(out, " ")
}

// TestVocabJSON takes tokenizer.json of gpt2-wikitext apart into vocab.json and
// merges.txt, which must make the same tokenizer.
func TestVocabJSON(t *testing.T) {
	whole := readFile(t, gptDir+"/tokenizer.json")
	config := readFile(t, gptDir+"/tokenizer_config.json")
	config = changed(t, string(config), "TokenizersBackend", "GPT2Tokenizer")
	var f struct {
		Model struct {
			Vocab  json.RawMessage
			Merges [][2]string
		}
	}
	if err := json.Unmarshal(whole, &f); err != nil {
		t.Fatal(err)
	}
	merges := "#version: 0.2\n"
	for _, m := range f.Model.Merges {
		merges += m[0] + " " + m[1] + "\n"
	}
	parts := mustNew(t, Files{VocabJSON: f.Model.Vocab, MergesTxt: []byte(merges), TokenizerConfig: config})
	together := mustNew(t, Files{TokenizerJSON: whole, TokenizerConfig: config})
	if !bytes.Equal(parts.Marshal(), together.Marshal()) {
		t.Error("vocab.json and merges.txt make another tokenizer than tokenizer.json")
	}
	_, err := New(Files{VocabJSON: f.Model.Vocab})
	wantFault(t, err, fault.Corrupt, "merges.txt")
	_, err = New(Files{VocabJSON: f.Model.Vocab, MergesTxt: []byte("a b c\n")})
	wantFault(t, err, fault.Corrupt, "merges.txt", "line 1", "a b c")
	_, err = New(Files{VocabJSON: []byte("[1]"), MergesTxt: []byte("a b\n")})
	wantFault(t, err, fault.Corrupt, "vocab.json")
	_, err = New(Files{VocabJSON: f.Model.Vocab, MergesTxt: []byte{}, TokenizerConfig: []byte(`{"tokenizer_class": "CLIPTokenizer"}`)})
	wantFault(t, err, fault.Unsupported, "CLIPTokenizer", "GPT2Tokenizer")
}

func TestRobertaVocabJSON(t *testing.T) {
	files := Files{
		VocabJSON: []byte(`{"<s>": 0, "</s>": 1, "<mask>": 2, "a": 3, "Ġ": 4, "Ġa": 5}`),
		MergesTxt: []byte("Ġ a\n"),
		TokenizerConfig: []byte(`{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true,
			"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": true, "normalized": false}}`),
	}
	tok := mustNew(t, files)
	var got Encoding
	pair := "a"
	if err := tok.NewEncoder().Encode(&got, "a <mask>", &pair, 0); err != nil {
		t.Fatal(err)
	}
	if s := words(tok, got.IDs); s != "<s> Ġa <mask> </s> </s> Ġa </s>" {
		t.Errorf("%s", s)
	}
	withMask := files.TokenizerConfig
	files.TokenizerConfig = []byte(`{"tokenizer_class": "RobertaTokenizer"}`)
	_, err := New(files)
	wantFault(t, err, fault.Unsupported, "<mask>", "4 it has id 2 lstrip", "5 id 2")
	files.TokenizerConfig, files.ModelType = []byte(strings.Replace(string(withMask), "RobertaTokenizer", "", 1)), "roberta"
	if single, _ := mustNew(t, files).Specials(); single != 2 {
		t.Errorf("without a class %d special tokens around a text, want 2", single)
	}
	files.TokenizerConfig = withMask
	files.VocabJSON = []byte(`{"<s>": 0, "a": 3}`)
	files.MergesTxt = []byte{}
	_, err = New(files)
	wantFault(t, err, fault.Corrupt, "</s>")
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config  string
		max     int
		typeIDs bool
	}{
		{`{}`, 0, true},
		{`{"model_max_length": 512, "tokenizer_class": "BertTokenizer"}`, 512, true},
		{`{"model_max_length": 1000000000000000019884624838656, "tokenizer_class": "BertTokenizerFast"}`, 0, true},
		{`{"model_max_length": -1, "tokenizer_class": "DistilBertTokenizer"}`, 0, false},
		{`{"model_max_length": 12.5, "tokenizer_class": "TokenizersBackend"}`, 0, false},
		{`{"model_max_length": null, "tokenizer_class": "TokenizersBackend", "model_input_names": ["input_ids", "token_type_ids"]}`, 0, true},
		{`{"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids"]}`, 0, false},
	} {
		tok := mustNew(t, Files{TokenizerJSON: []byte(smallBERT), TokenizerConfig: []byte(c.config)})
		if tok.ModelMaxLength() != c.max || tok.ReturnsTypeIDs() != c.typeIDs {
			t.Errorf("%s: max %d, type ids %v; want %d, %v", c.config, tok.ModelMaxLength(), tok.ReturnsTypeIDs(), c.max, c.typeIDs)
		}
		if want := 1 + flagIf(c.typeIDs, 1); tok.TypeCount() != want {
			t.Errorf("%s: %d types, want %d", c.config, tok.TypeCount(), want)
		}
	}
	for config, kind := range map[string]fault.Kind{
		`{"model_max_length": "x"}`:        fault.Corrupt,
		`{"truncation_side": "middle"}`:    fault.Corrupt,
		`{"split_special_tokens": true}`:   fault.Unsupported,
		`{"tokenizer_class": 7}`:           fault.Corrupt,
		`[]`:                               fault.Corrupt,
		`{"unk_token": ["not", "a name"]}`: fault.Corrupt,
	} {
		_, err := New(Files{TokenizerJSON: []byte(smallBERT), TokenizerConfig: []byte(config)})
		wantFault(t, err, kind, "tokenizer_config.json")
	}
	_, err := New(Files{TokenizerJSON: []byte(smallBERT), SpecialTokensMap: []byte("{")})
	wantFault(t, err, fault.Corrupt, "special_tokens_map.json")
	for _, setting := range []string{"add_bos_token", "add_eos_token"} {
		_, err = New(Files{VocabJSON: []byte(`{"a": 0}`), MergesTxt: []byte{}, TokenizerConfig: []byte(`{"` + setting + `": true}`)})
		wantFault(t, err, fault.Unsupported, setting)
	}
}

// TestClassSettingsWin: what a class reads from tokenizer_config.json, or is without
// it, wins over tokenizer.json, in transformers 4.57 and 5.24 both.
func TestClassSettingsWin(t *testing.T) {
	cased := string(changed(t, smallBERT, `"lowercase": true`, `"lowercase": false, "handle_chinese_chars": false`))
	for _, c := range []struct{ file, config, model, text, want string }{
		{smallBERT, `{"do_lower_case": false}`, "", "A É", "A É"},
		{smallBERT, `{"do_lower_case": false, "tokenizer_class": "DistilBertTokenizer"}`, "", "A É", "A É"},
		{smallBERT, `{"do_lower_case": false}`, "ElectraTokenizerFast", "A É", "A É"},
		{smallBERT, `{"do_lower_case": false}`, "PreTrainedTokenizerFast", "A É", "a [UNK]"},
		{smallBERT, `{"do_lower_case": false, "tokenizer_class": "TokenizersBackend"}`, "BertTokenizer", "A É", "a [UNK]"},
		{smallBERT, `{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}`, "", "A É", "a [UNK]"},
		{smallBERT, `{"strip_accents": false}`, "", "A É", "a é"},
		{smallBERT, `{"tokenize_chinese_chars": false}`, "", "a日", "[UNK]"},
		{cased, `{}`, "", "A É", "a [UNK]"},
		{cased, `{"tokenizer_class": "BertTokenizer"}`, "", "A a日", "a a [UNK]"},
		{cased, `{"tokenizer_class": "BertTokenizer", "do_lower_case": false, "tokenize_chinese_chars": false}`, "", "A a日", "A [UNK]"},
		{cased, `{"tokenizer_class": "BertTokenizer", "do_lower_case": true, "strip_accents": false}`, "", "A É", "a é"},
		{cased, `{"tokenizer_class": "TokenizersBackend"}`, "", "A a日", "A [UNK]"},
		{smallBPE, `{}`, "", "a", "a"},
		{smallBPE, `{"add_prefix_space": true}`, "", "a", "Ġ a"},
		{smallBPE, `{"add_prefix_space": true, "tokenizer_class": "GPT2Tokenizer"}`, "", "a", "Ġ a"},
		{smallBPE, `{"add_prefix_space": true, "tokenizer_class": "TokenizersBackend"}`, "", "a", "a"},
		{spaced, `{}`, "", "a", "a"},
		{spaced, `{"tokenizer_class": "GPT2Tokenizer"}`, "", "a", "a"},
		{spaced, `{"tokenizer_class": "TokenizersBackend"}`, "", "a", "Ġ a"},
		{spaced, `{"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true}`, "", "a", "Ġ a"},
	} {
		tok := mustNew(t, Files{TokenizerJSON: []byte(c.file), TokenizerConfig: []byte(c.config), ModelClass: c.model})
		ids, err := tok.NewEncoder().AppendIDs(nil, c.text)
		if err != nil || words(tok, ids) != c.want {
			t.Errorf("%s of %q: %q: %q, %v; want %q", c.config, c.model, c.text, words(tok, ids), err, c.want)
		}
	}
	if tok := mustNew(t, Files{TokenizerJSON: []byte(cased)}); !tok.Lowercases() {
		t.Error("no tokenizer_config.json: text keeps its case")
	}
}

// TestVersionsDiffer: where transformers 4 goes by tokenizer.json and 5 by the class, neither is guessed.
func TestVersionsDiffer(t *testing.T) {
	const bert, gpt, roberta = `"BertTokenizer"`, `"GPT2Tokenizer"`, `"RobertaTokenizer"`
	for _, c := range []struct{ class, file, old, new, words string }{
		{bert, smallBERT, `"lowercase": true`, `"clean_text": false`, `clean_text BertTokenizer`},
		{`""`, smallBERT, `"lowercase": true`, `"clean_text": false`, `clean_text none`},
		{bert, smallBERT, `"normalizer"`, `"x"`, `normalizer BertNormalizer`},
		{bert, smallBERT, `"unk_token"`, `"continuing_subword_prefix": "@@", "unk_token"`, `continuing_subword_prefix @@ ##`},
		{bert, smallBERT, `"unk_token"`, `"max_input_chars_per_word": 99, "unk_token"`, `max_input_chars_per_word 99 100`},
		{bert, smallBERT, `"unk_token": "[UNK]"`, `"unk_token": "a"`, `unk_token "a" "[UNK]"`},
		{bert, smallBERT, `"post_processor"`, `"x"`, `post_processor [SEP]`},
		{bert, smallBERT, `"type_id": 1`, `"type_id": 0`, `post_processor [SEP]`},
		{bert, smallBPE, `"add_prefix_space": false`, `"add_prefix_space": false`, `BPE WordPiece`},
		{gpt, smallBERT, `"lowercase": true`, `"lowercase": true`, `WordPiece BPE`},
		{gpt, smallBPE, `"type": "BPE"`, `"type": "BPE", "unk_token": "<unk>"`, `unk_token <unk>`},
		{roberta, smallBPE, `"a": 0`, `"a": 0, "<s>": 5, "</s>": 6`, `post_processor RobertaProcessing`},
		{`"PreTrainedTokenizerFast"`, spaced, `"a": 0`, `"a": 0`, `add_prefix_space true nothing`},
		{`"PreTrainedTokenizerFast", "add_prefix_space": true`, smallBPE, `"a": 0`, `"a": 0`, `add_prefix_space false true`},
		{`"Strange", "add_prefix_space": true`, smallBPE, `"a": 0`, `"a": 0`, `add_prefix_space Strange`},
		{`"Strange", "do_lower_case": false`, smallBERT, `"a"`, `"a"`, `do_lower_case Strange`},
		{`"Strange", "strip_accents": false`, smallBERT, `"a"`, `"a"`, `strip_accents Strange`},
		{`"Strange", "tokenize_chinese_chars": false`, smallBERT, `"a"`, `"a"`, `tokenize_chinese_chars Strange`},
	} {
		_, err := New(Files{TokenizerJSON: changed(t, c.file, c.old, c.new), TokenizerConfig: []byte(`{"tokenizer_class": ` + c.class + `}`)})
		wantFault(t, err, fault.Unsupported, strings.Fields(c.words)...)
	}
	// Where type ids are not returned it does not matter which the template has.
	mustNew(t, Files{TokenizerJSON: changed(t, smallBERT, `"type_id": 1`, `"type_id": 0`), TokenizerConfig: []byte(`{"tokenizer_class": "DistilBertTokenizer"}`)})
	mustNew(t, Files{TokenizerJSON: []byte(smallBERT), TokenizerConfig: []byte(`{"tokenizer_class": "Strange", "do_lower_case": true}`)})
}

func TestEncodeRefuses(t *testing.T) {
	tok := load(t, tinyDir)
	e := tok.NewEncoder()
	var got Encoding
	bad := "ok\xc0\xaf"
	wantFault(t, e.Encode(&got, bad, nil, 0), fault.Corrupt, "byte 2", "UTF-8")
	wantFault(t, e.Encode(&got, "ok", &bad, 0), fault.Corrupt, "byte 2", "UTF-8")
	wantFault(t, e.Encode(&got, "ok", nil, 1), fault.Usage, "1", "2")
	pair := "and"
	wantFault(t, e.Encode(&got, "ok", &pair, 2), fault.Usage, "2", "3")
	if err := e.Encode(&got, "ok", &pair, 3); err != nil || words(tok, got.IDs) != "[CLS] [SEP] [SEP]" {
		t.Errorf("3 tokens for the special ones: %q, %v", words(tok, got.IDs), err)
	}
}

func TestTruncationSide(t *testing.T) {
	tok := mustNew(t, Files{TokenizerJSON: readFile(t, tinyDir+"/tokenizer.json"), TokenizerConfig: []byte(`{"truncation_side": "left"}`)})
	var got Encoding
	if err := travelled(t, tok).NewEncoder().Encode(&got, "one two three", nil, 4); err != nil || words(tok, got.IDs) != "[CLS] two three [SEP]" {
		t.Errorf("%q, %v", words(tok, got.IDs), err)
	}
}

func TestAccessors(t *testing.T) {
	tok := load(t, tinyDir)
	single, pair := tok.Specials()
	if single != 2 || pair != 3 || tok.VocabSize() != 6164 || tok.ModelMaxLength() != 128 {
		t.Errorf("specials %d, %d; size %d; length %d", single, pair, tok.VocabSize(), tok.ModelMaxLength())
	}
	if tok.Token(6163) != "##lster" || tok.Token(-1) != "" || tok.Token(6164) != "" {
		t.Errorf("tokens %q, %q, %q", tok.Token(6163), tok.Token(-1), tok.Token(6164))
	}
}

// TestWrongTypesInWords: an error about a JSON value names its place in the
// file and the type wanted, and no type of Go.
func TestWrongTypesInWords(t *testing.T) {
	for _, c := range []struct {
		files Files
		want  string
	}{
		{Files{TokenizerJSON: []byte(`[]`)}, `tokenizer.json: holds array, want an object`},
		{Files{TokenizerJSON: []byte(`{"model": 3}`)}, `tokenizer.json: "model" is number, want an object`},
		{Files{TokenizerJSON: []byte(`{"added_tokens": {}}`)}, `tokenizer.json: "added_tokens" is object, want an array`},
		{Files{TokenizerJSON: []byte(`{"model": {"type": 3}}`)}, `tokenizer.json: "model.type" is number, want a string`},
		{Files{TokenizerJSON: []byte(`{"model": {"fuse_unk": "yes"}}`)}, `tokenizer.json: "model.fuse_unk" is string, want true or false`},
		{Files{TokenizerJSON: []byte(`{"model": {"max_input_chars_per_word": 1.5}}`)}, `tokenizer.json: "model.max_input_chars_per_word" is number 1.5, want an integer`},
		{Files{TokenizerConfig: []byte(`{"model_max_length": "512"}`)}, `tokenizer_config.json: "model_max_length" is string, want a number`},
		{Files{TokenizerConfig: []byte(`{"unk_token": 3}`)}, `tokenizer_config.json: "unk_token" is number, want a string`},
		{Files{SpecialTokensMap: []byte(`7`)}, `special_tokens_map.json: holds number, want an object`},
	} {
		_, err := New(c.files)
		wantFault(t, err, fault.Corrupt)
		if err.Error() != c.want {
			t.Errorf("error %q, want %q", err, c.want)
		}
	}
}
