package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"etc/fault"
	"etc/formats/strictjson"
)

// tokenizerFile is tokenizer.json as far as it decides ids. Its truncation,
// padding and decoder do not.
type tokenizerFile struct {
	AddedTokens   []addedJSON     `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Model         modelJSON       `json:"model"`
}

type addedJSON struct {
	ID         *int64 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`

	from origin
	open bool // nothing is said of normalized, and a special token is not
}

// An origin is what gave an added token its id.
type origin uint8

const (
	nowhere    origin = iota // a special token that is only named
	listedFile               // added_tokens_decoder or tokenizer.json
	addedFile                // added_tokens.json
)

// modelJSON holds the fields of both models.
type modelJSON struct {
	Type     string      `json:"type"`
	Vocab    vocabulary  `json:"vocab"`
	UnkToken *string     `json:"unk_token"`
	Prefix   *string     `json:"continuing_subword_prefix"`
	MaxChars *int        `json:"max_input_chars_per_word"`
	Merges   []mergeJSON `json:"merges"`
	Suffix   *string     `json:"end_of_word_suffix"`
	Dropout  *float64    `json:"dropout"`
	FuseUnk  bool        `json:"fuse_unk"`
	Fallback bool        `json:"byte_fallback"`
	Ignore   bool        `json:"ignore_merges"`
}

// A vocabulary maps tokens to ids. An id that comes twice is an error; a token that does is one of decode.
type vocabulary map[string]int32

var errVocabulary = errors.New("vocabulary is no object of token: id")

// UnmarshalJSON takes an array (Unigram) for no vocabulary, so that the model's type is what the error names.
func (v *vocabulary) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return nil
	}
	*v = vocabulary{}
	owner := map[int32]string{}
	return strictjson.Members(b, func(token, value string) error {
		if c := value[0]; c != '-' && (c < '0' || c > '9') {
			return errVocabulary
		}
		id, err := strconv.ParseInt(value, 10, 64)
		if err != nil || id < 0 || id >= maxTokens {
			return fmt.Errorf("token %q has id %s, want 0 to %d", token, value, maxTokens-1)
		}
		if other, twice := owner[int32(id)]; twice {
			return fmt.Errorf("tokens %q and %q have the same id %d", other, token, id)
		}
		(*v)[token], owner[int32(id)] = int32(id), token
		return nil
	})
}

// A mergeJSON is written as "a b" or as ["a", "b"].
type mergeJSON [2]string

func (m *mergeJSON) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		left, right, ok := strings.Cut(s, " ")
		if !ok || strings.Contains(right, " ") {
			return fmt.Errorf("merge %q is not two tokens", s)
		}
		*m = mergeJSON{left, right}
		return nil
	}
	var parts []string
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("merge %q is not two tokens", parts)
	}
	*m = mergeJSON(parts)
	return nil
}

// readTokenizerJSON reads all that tokenizer.json says of ids.
func readTokenizerJSON(file []byte, c *config) (definition, error) {
	var f tokenizerFile
	if err := decode("tokenizer.json", file, &f); err != nil {
		return definition{}, err
	}
	d := definition{unk: noID, single: plainSingle, pair: plainPair}
	if err := f.readModel(&d); err != nil {
		return d, err
	}
	if err := d.readNormalizer(f.Normalizer); err != nil {
		return d, err
	}
	if err := d.readPreTokenizer(f.PreTokenizer); err != nil {
		return d, err
	}
	if err := d.readPostProcessor(f.PostProcessor); err != nil {
		return d, err
	}
	inFile := d.normalize
	if err := c.applyClass(&d, &f); err != nil {
		return d, err
	}
	if f.AddedTokens == nil {
		f.AddedTokens = []addedJSON{}
	}
	if err := c.addAll(&d, "tokenizer.json", f.Model.Vocab, f.AddedTokens); err != nil {
		return d, err
	}
	return d, d.checkNormalized(inFile)
}

// checkNormalized wants normalised added tokens to be the same by the normalizer of tokenizer.json and by
// d's: version 4 makes the tokens by the former and the text by the latter.
func (d *definition) checkNormalized(inFile normalizerOptions) error {
	if inFile == d.normalize {
		return nil
	}
	before, after := newNormalizer(inFile), newNormalizer(d.normalize)
	var marks []mark
	for _, a := range d.added {
		text := d.text[a.id]
		if !a.normalized {
			continue
		}
		x, y := before.append(nil, []byte(text), &marks), after.append(nil, []byte(text), &marks)
		if !bytes.Equal(x, y) {
			return fault.Newf(fault.Unsupported, "added token %q is sought as %q by the normalizer of tokenizer.json and as %q by the settings of the tokenizer class", text, x, y).WithHint("%s", saveAgain)
		}
	}
	return nil
}

// readModel reads the model. Files of before 2020 name no type; merges tell.
func (f *tokenizerFile) readModel(d *definition) error {
	m := &f.Model
	kind := m.Type
	if kind == "" && m.Merges != nil {
		kind = "BPE"
	}
	if kind == "" && m.MaxChars != nil {
		kind = "WordPiece"
	}
	if kind != "BPE" && kind != "WordPiece" {
		return fault.Newf(fault.Unsupported, "tokenizer.json: model %q, supported are WordPiece and BPE", kind)
	}
	if m.Vocab == nil {
		return fault.Newf(fault.Corrupt, "tokenizer.json: %s has no vocabulary", kind)
	}
	if err := d.setVocabulary("tokenizer.json", m.Vocab); err != nil {
		return err
	}
	if kind == "BPE" {
		return m.readBPE(d)
	}
	d.model = wordPiece
	d.continuingPrefix = valueOr(m.Prefix, "##")
	d.maxWordChars = valueOr(m.MaxChars, 100)
	d.unk = m.Vocab.id(valueOr(m.UnkToken, "[UNK]"))
	return nil
}

func (m *modelJSON) readBPE(d *definition) error {
	switch {
	case valueOr(m.Dropout, 0) != 0:
		return unsupportedBPE("dropout", *m.Dropout)
	case m.Fallback:
		return unsupportedBPE("byte_fallback", true)
	case m.Ignore:
		return unsupportedBPE("ignore_merges", true)
	case valueOr(m.Prefix, "") != "":
		return unsupportedBPE("continuing_subword_prefix", *m.Prefix)
	case valueOr(m.Suffix, "") != "":
		return unsupportedBPE("end_of_word_suffix", *m.Suffix)
	}
	d.model, d.fuseUnk = byteLevelBPE, m.FuseUnk
	if unk := valueOr(m.UnkToken, ""); unk != "" {
		if d.unk = m.Vocab.id(unk); d.unk == noID {
			return fault.Newf(fault.Corrupt, "tokenizer.json: unk_token %q is not in the vocabulary", unk)
		}
	}
	return d.setMerges("tokenizer.json", m.Vocab, m.Merges)
}

func unsupportedBPE(setting string, value any) error {
	return fault.Newf(fault.Unsupported, "tokenizer.json: BPE with %s %v, supported is BPE without it", setting, value)
}

func valueOr[T any](v *T, standard T) T {
	if v == nil {
		return standard
	}
	return *v
}

// id is the id of token, or noID.
func (v vocabulary) id(token string) int32 {
	if id, ok := v[token]; ok {
		return id
	}
	return noID
}
