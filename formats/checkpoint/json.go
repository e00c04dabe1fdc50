package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"etc/fault"
	"etc/formats/strictjson"
)

// fields are the members of a JSON object, undecoded. A null counts as absent.
type fields map[string]json.RawMessage

// parseObject reads the JSON object that is the whole of file.
func parseObject(file string, data []byte) (fields, error) {
	var f fields
	err := strictjson.Unmarshal(data, &f)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || err == nil && f == nil {
		return nil, fault.Newf(fault.Corrupt, "%s holds %s, want an object", file, oneLine(data))
	}
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "%s: %w", file, err)
	}
	return f, nil
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
