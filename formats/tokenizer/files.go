package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"etc/fault"
	"etc/formats/strictjson"
)

// Files are the tokenizer files of a checkpoint folder, nil where absent.
type Files struct {
	TokenizerJSON    []byte // tokenizer.json
	TokenizerConfig  []byte // tokenizer_config.json
	SpecialTokensMap []byte // special_tokens_map.json
	VocabTxt         []byte // vocab.txt
	VocabJSON        []byte // vocab.json
	MergesTxt        []byte // merges.txt
	AddedTokens      []byte // added_tokens.json

	// ModelClass is tokenizer_class of config.json, which holds where tokenizer_config.json names none.
	ModelClass string
	ModelType  string // model_type of config.json, where neither names a class
}

// New makes a Tokenizer from tokenizer.json, else vocab.txt, else vocab.json
// with merges.txt; it is nil without error if there is none of these. Truncation and
// padding in tokenizer.json are ignored. What the files say that
// this package does not do is fault.Unsupported, what contradicts itself fault.Corrupt.
func New(f Files) (*Tokenizer, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	var d definition
	switch {
	case f.TokenizerJSON != nil:
		d, err = readTokenizerJSON(f.TokenizerJSON, &c)
	case f.VocabTxt != nil:
		d, err = readVocabTxt(f.VocabTxt, &c)
	case f.VocabJSON != nil:
		d, err = readVocabJSON(f.VocabJSON, f.MergesTxt, &c)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := c.apply(&d); err != nil {
		return nil, err
	}
	return newTokenizer(d)
}

// decode reads the JSON of a file into v.
func decode(name string, file []byte, v any) error {
	if err := strictjson.Unmarshal(file, v); err != nil {
		return fault.Newf(fault.Corrupt, "%s: %w", name, inWords(err))
	}
	return nil
}

// inWords says without Go's names what a JSON value of another type is.
func inWords(err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	want := "another type"
	switch wrong.Type.Kind() {
	case reflect.Struct, reflect.Map:
		want = "an object"
	case reflect.Slice, reflect.Array:
		want = "an array"
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "true or false"
	case reflect.Int, reflect.Int64:
		want = "an integer"
	case reflect.Float64:
		want = "a number"
	}
	// The field is the path in the file, with the names of embedded structs, which no file has.
	field := strings.ReplaceAll(wrong.Field, "specialNames.", "")
	if field == "" {
		return fmt.Errorf("holds %s, want %s", wrong.Value, want)
	}
	return fmt.Errorf("%q is %s, want %s", field, wrong.Value, want)
}

// present says whether a JSON value is there and not null.
func present(v json.RawMessage) bool {
	return len(v) > 0 && !bytes.Equal(v, []byte("null"))
}
