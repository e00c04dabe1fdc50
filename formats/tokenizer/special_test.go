package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etc/fault"
)

// TestFolders compares small folders with special and added tokens in every file that may name
// them, with and without classes and settings, with the ids that AutoTokenizer gave. Where those of transformers 4.57.1
// and 5.24.0 are not the same there are none in the file, and the folder is refused.
func TestFolders(t *testing.T) {
	var texts []string
	for line := range bytes.Lines(readFile(t, "testdata/folders.jsonl")) {
		var v struct {
			Texts             []string
			Name, Class, Type string
			Files             map[string]string
			IDs               [][]int32
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		if v.Texts != nil {
			texts = v.Texts
			continue
		}
		files := Files{ModelClass: v.Class, ModelType: v.Type}
		for name, to := range map[string]*[]byte{
			"tokenizer.json": &files.TokenizerJSON, "tokenizer_config.json": &files.TokenizerConfig, "special_tokens_map.json": &files.SpecialTokensMap,
			"added_tokens.json": &files.AddedTokens, "vocab.txt": &files.VocabTxt, "vocab.json": &files.VocabJSON, "merges.txt": &files.MergesTxt,
		} {
			if text, ok := v.Files[name]; ok {
				*to = []byte(text)
			}
		}
		t.Run(v.Name, func(t *testing.T) {
			tok, err := New(files)
			if v.IDs == nil {
				wantFault(t, err, fault.Unsupported)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got Encoding
			for i, want := range v.IDs {
				if err := travelled(t, tok).NewEncoder().Encode(&got, texts[i], nil, 0); err != nil || !slices.Equal(got.IDs, want) {
					t.Errorf("%+q:\n got %v, %v\nwant %v", texts[i], got.IDs, err, want)
				}
			}
		})
	}
}

// TestSpecialTokens names what TestFolders mixes: one file a case, with the ids of both versions, of 5.24.0 alone
// for TokenizersBackend.
func TestSpecialTokens(t *testing.T) {
	const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n[unused1]\n"
	bert := func(config string) Files { return Files{VocabTxt: []byte(vocab), TokenizerConfig: []byte(config)} }
	whole := func(config string) Files {
		return Files{TokenizerJSON: []byte(smallBERT), TokenizerConfig: []byte(config)}
	}
	with := func(f Files, more, added string) Files {
		if f.SpecialTokensMap = []byte(more); more == "" {
			f.SpecialTokensMap = nil
		}
		if f.AddedTokens = []byte(added); added == "" {
			f.AddedTokens = nil
		}
		return f
	}
	for name, c := range map[string]struct {
		files      Files
		text, want string
	}{
		"added_tokens.json":                 {with(bert(`{}`), "", `{"[E1]": 8}`), "a[E1]b [e1]", "5 8 6 8"}, // in normalised text
		"added_tokens.json, special":        {with(bert(`{"additional_special_tokens": ["[E1]"]}`), "", `{"[E1]": 8}`), "a[E1]b [e1]", "5 8 6 1 1 1"},
		"additional, in the vocabulary":     {bert(`{"additional_special_tokens": ["[unused1]"]}`), "a[unused1]b", "5 7 6"},
		"additional, new":                   {with(bert(`{}`), `{"additional_special_tokens": ["[E1]", "[E2]"]}`, ""), "[E2][E1]", "9 8"},
		"none of them":                      {bert(`{}`), "a[unused1]b", "5 1 1 1 6"},
		"a role, new":                       {bert(`{"bos_token": "<s>"}`), "a<s>", "5 8"},
		"decoder before the map":            {with(bert(`{"added_tokens_decoder": {"8": {"content": "[E1]", "special": true}}}`), `{"additional_special_tokens": ["[E2]"]}`, `{"[E3]": 9}`), "[E1][E2]", "8 1 1 1"},
		"object in the map":                 {with(bert(`{}`), `{"mask_token": {"content": "[MASK]", "rstrip": true, "lstrip": true, "normalized": false, "single_word": false}}`, ""), "[MASK] a", "4 5"},
		"tokenizer.json lists none":         {whole(`{}`), "[MASK]a", "4 5"},
		"tokenizer.json and the map":        {with(whole(`{}`), `{"additional_special_tokens": ["[E1]"]}`, ""), "[E1]a", "10 5"},
		"tokenizer.json and added tokens":   {with(whole(`{}`), "", `{"[E1]": 10}`), "[e1]a", "10 5"},
		"PreTrainedTokenizerFast, a role":   {whole(`{"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": "[MASK]"}`), "[MASK]a [PAD]", "4 5 1 1 1"},
		"PreTrainedTokenizerFast, decoder":  {whole(`{"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {"10": {"content": "<x>", "lstrip": true}}}`), "a <x>", "5 10"},
		"TokenizersBackend, list of extras": {whole(`{"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<x>"]}`), "a<x>", "5 10"},
	} {
		tok, err := New(c.files)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ids, err := tok.NewEncoder().AppendIDs(nil, c.text)
		if got := strings.Trim(fmt.Sprint(ids), "[]"); err != nil || got != c.want {
			t.Errorf("%s: %q: %s, %v; want %s", name, c.text, got, err, c.want)
		}
	}
}

// TestSpecialTokensRefused: each is read by one version of transformers only, or in another way by the other.
func TestSpecialTokensRefused(t *testing.T) {
	const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n"
	for _, c := range []struct {
		files Files
		kind  fault.Kind
		words string
	}{
		{Files{VocabTxt: []byte(vocab), AddedTokens: []byte(`{"[E1]": 7}`), SpecialTokensMap: []byte(`{"additional_special_tokens": ["[E1]"]}`)}, fault.Unsupported, `"[E1]" normalized`},
		{Files{VocabTxt: []byte(vocab), AddedTokens: []byte(`{"[E1]": 8}`)}, fault.Unsupported, `"[E1]" 8 7`},
		{Files{VocabTxt: []byte(vocab), AddedTokens: []byte(`{"[E1]": -1}`)}, fault.Corrupt, `"[E1]"`},
		{Files{VocabTxt: []byte(vocab), AddedTokens: []byte(`["[E1]"]`)}, fault.Corrupt, `added_tokens.json`},
		{Files{VocabTxt: []byte(vocab), AddedTokens: []byte(`{"[E1]": 7, "[E1]": 7}`)}, fault.Corrupt, `added_tokens.json "[E1]" twice`},
		{Files{VocabTxt: []byte(vocab), SpecialTokensMap: []byte(`{"additional_special_tokens": [{"content": "[E1]"}]}`)}, fault.Unsupported, `additional_special_tokens objects`},
		{Files{VocabTxt: []byte(vocab), TokenizerConfig: []byte(`{"image_token": "<i>"}`)}, fault.Unsupported, `"<i>"`},
		{Files{VocabTxt: []byte(vocab), SpecialTokensMap: []byte(`{"image_token": "<i>"}`)}, fault.Unsupported, `"<i>"`},
		{Files{VocabTxt: []byte(vocab), TokenizerConfig: []byte(`{"added_tokens_decoder": {"x": {"content": "<i>"}}}`)}, fault.Corrupt, `added_tokens_decoder "x"`},
		{Files{TokenizerJSON: changed(t, smallBERT, `"added_tokens": []`, `"added_tokens": [{"id": 10, "content": "<x>"}]`), TokenizerConfig: []byte(`{"added_tokens_decoder": {}}`)}, fault.Unsupported, `"<x>" 4 10 5`},
		{Files{TokenizerJSON: changed(t, smallBERT, `"added_tokens": []`, `"added_tokens": [{"id": 12, "content": "<x>"}]`)}, fault.Unsupported, `"<x>" 12 10`},
		{Files{TokenizerJSON: changed(t, smallBERT, `"added_tokens": []`, `"added_tokens": [{"id": 10, "content": "<X>", "normalized": true}]`), TokenizerConfig: []byte(`{"do_lower_case": false}`)}, fault.Unsupported, `"<X>" "<x>"`},
		{Files{TokenizerJSON: changed(t, smallBERT, `"added_tokens": []`, `"added_tokens": [{"id": 10, "content": "<x>", "normalized": true}]`),
			TokenizerConfig: []byte(`{"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {"10": {"content": "<x>", "normalized": false}}}`)}, fault.Unsupported, `"<x>" normalized`},
		{Files{VocabJSON: []byte(`{"a": 0}`), MergesTxt: []byte{}, TokenizerConfig: []byte(`{"added_tokens_decoder": {"1": {"content": "<|endoftext|>", "lstrip": true}}}`)}, fault.Unsupported, `"<|endoftext|>" lstrip`},
	} {
		_, err := New(c.files)
		wantFault(t, err, c.kind, strings.Fields(c.words)...)
	}
}

// TestJSONInTwoWays: no file of the tokenizer may hold what two readers understand in two ways.
func TestJSONInTwoWays(t *testing.T) {
	base := func() Files { return Files{TokenizerJSON: []byte(smallBERT)} }
	for _, c := range []struct {
		file     string
		set      func(*Files, string)
		contents string
		words    string
	}{
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"normalizer"`, `"normalizer": null, "normalizer"`, 1), `"normalizer" twice`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"normalizer"`, `"NORMALIZER"`, 1), `"NORMALIZER" "normalizer" case`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"lowercase"`, `"LowerCase": false, "lowercase"`, 1), `"LowerCase" "lowercase" case`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"unk_token"`, `"Unk_Token"`, 1), `"Unk_Token" "unk_token" case`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"SpecialToken"`, `"specialtoken"`, 1), `"specialtoken" "SpecialToken" case`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"a": 5`, `"\ud800": 5`, 1), `surrogate`},
		{"tokenizer.json", func(f *Files, s string) { f.TokenizerJSON = []byte(s) }, strings.Replace(smallBERT, `"added_tokens": []`, `"added_tokens": [{"ID": 10, "content": "x"}]`, 1), `"ID" "id" case`},
		{"tokenizer_config.json", func(f *Files, s string) { f.TokenizerConfig = []byte(s) }, `{"do_lower_case": true, "do_lower_case": false}`, `"do_lower_case" twice`},
		{"tokenizer_config.json", func(f *Files, s string) { f.TokenizerConfig = []byte(s) }, `{"Do_Lower_Case": false}`, `"Do_Lower_Case" case`},
		{"tokenizer_config.json", func(f *Files, s string) { f.TokenizerConfig = []byte(s) }, `{"CLS_token": "a"}`, `"CLS_token" case`},
		{"tokenizer_config.json", func(f *Files, s string) { f.TokenizerConfig = []byte(s) }, `{"cls_token": {"Content": "a"}}`, `"Content" case`},
		{"special_tokens_map.json", func(f *Files, s string) { f.SpecialTokensMap = []byte(s) }, `{"cls_token": "a", "cls_token": "a"}`, `"cls_token" twice`},
		{"special_tokens_map.json", func(f *Files, s string) { f.SpecialTokensMap = []byte(s) }, `{"x": "\ude00"}`, `surrogate`},
		{"vocab.json", func(f *Files, s string) { *f = Files{VocabJSON: []byte(s), MergesTxt: []byte{}} }, `{"a": 0, "\u0061": 1}`, `"a" twice`},
	} {
		f := base()
		c.set(&f, c.contents)
		_, err := New(f)
		wantFault(t, err, fault.Corrupt, append(strings.Fields(c.words), c.file)...)
	}
	for _, classic := range []string{`{"type": "BertProcessing"}`, `{"type": "BertProcessing", "sep": ["[SEP]", 3]}`, `{"type": "RobertaProcessing", "cls": ["[CLS]", 2]}`,
		`{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": [2, "[CLS]"]}`, `{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": null}`,
		`{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": [2, 2]}`} {
		_, err := New(asItIs(changed(t, smallBPE, `"post_processor": null`, `"post_processor": `+classic)))
		wantFault(t, err, fault.Corrupt, "tokenizer.json")
	}
}
