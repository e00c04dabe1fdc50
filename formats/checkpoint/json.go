package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"etc/fault"
)

// maxDepth bounds the nesting of a JSON file; Hugging Face's stay below 10.
const maxDepth = 32

// fields are the members of a JSON object, undecoded. A null counts as absent.
type fields map[string]json.RawMessage

// parseObject reads the JSON object that is the whole of file. Refused, as
// fault.Corrupt, is what two readers could understand in two ways: a key that
// stands there twice, at any depth, and text that is not UTF-8.
func parseObject(file string, data []byte) (fields, error) {
	if err := checkJSON(data); err != nil {
		return nil, fault.Newf(fault.Corrupt, "%s: %w", file, err)
	}
	var f fields
	if err := json.Unmarshal(data, &f); err != nil || f == nil {
		return nil, fault.Newf(fault.Corrupt, "%s holds %s, want an object", file, oneLine(data))
	}
	return f, nil
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, maxDepth); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("not JSON: something follows its end")
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	begin, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		if begin == '{' {
			token, err := dec.Token()
			if err != nil {
				return notJSON(err)
			}
			key := token.(string) // the decoder accepts nothing else here
			if seen[key] {
				return fmt.Errorf("%s stands there twice", oneLine([]byte(fmt.Sprintf("%q", key))))
			}
			seen[key] = true
		}
		if err := checkValue(dec, depth-1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	return nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not JSON: it ends too early")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// get is the value of the first key that has one.
func (f fields) get(keys ...string) (key string, value json.RawMessage, ok bool) {
	for _, key := range keys {
		if v, ok := f[key]; ok && string(v) != "null" {
			return key, v, true
		}
	}
	return keys[0], nil, false
}

// oneLine shows a JSON value in an error: without white space, and cut.
func oneLine(value []byte) string {
	const shown = 60
	var b bytes.Buffer
	if json.Compact(&b, value) == nil {
		value = b.Bytes()
	}
	if len(value) > shown {
		return fmt.Sprintf("%.*s…", shown, value)
	}
	return string(value)
}
