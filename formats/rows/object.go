package rows

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"etc/fault"
)

// A field is a key that rows know.
type field int

const (
	fieldID field = iota
	fieldText
	fieldPair
	fieldIDs
	fieldTypeIDs
	fieldLabel
	fieldScore
	fieldCount
)

var fieldNames = [fieldCount]string{"id", "text", "text_pair", "ids", "type_ids", "label", "score"}

// fieldOf is the field with this name, in this very spelling.
func fieldOf(name []byte) (f field, known bool) {
	for f, n := range fieldNames {
		if string(name) == n {
			return field(f), true
		}
	}
	return 0, false
}

// misspelled are keys by which Hugging Face calls what rows have another key
// for, or none. Passed over as unknown they would give another answer than was
// asked for.
var misspelled = [...]struct {
	name string
	f    field  // that is meant, fieldCount for none
	want string // where none is
}{
	{"input_ids", fieldIDs, ""},
	{"token_type_ids", fieldTypeIDs, ""},
	{"pair", fieldPair, ""},
	{"text2", fieldPair, ""},
	{"sentence2", fieldPair, ""},
	{"attention_mask", fieldCount, `"ids" without those that are masked`},
	{"position_ids", fieldCount, "positions that count up, which rows have without it"},
}

// errMisspelled is what is wrong with a line that has such a key and not the
// right one.
func (o *object) errMisspelled() error {
	for i, m := range misspelled {
		switch {
		case !o.misspelled[i]:
		case m.f == fieldCount:
			return fault.Newf(fault.Corrupt, "%q is no key of rows, want %s", m.name, m.want)
		case o.value[m.f] == nil:
			return fault.Newf(fault.Corrupt, "%q is no key of rows, want %q", m.name, fieldNames[m.f])
		}
	}
	return nil
}

// An object holds the values of a line's fields as they stand in it, nil where
// the key is absent or null. The id keeps its null: it is passed through.
type object struct {
	value      [fieldCount][]byte
	misspelled [len(misspelled)]bool // which of these the line has
	scratch    []byte                // of unquote
}

// read finds the fields in a line. A known key that stands twice is refused,
// because readers of JSON differ in which of the two they take; keys that rows
// do not know are passed over, unless they are known misspellings. After an error
// the id is there if it was found.
func (o *object) read(line []byte) error {
	o.value, o.misspelled = [fieldCount][]byte{}, [len(misspelled)]bool{}
	if !utf8.Valid(line) {
		return errUTF8
	}
	if !json.Valid(line) {
		return badJSON(line)
	}
	rest := next(line)
	if rest[0] != '{' {
		return fault.Newf(fault.Corrupt, `got %s, want an object with "text" or "ids"`, kindName(rest))
	}
	var twice error
	var seen [fieldCount]bool
	for rest = next(rest[1:]); rest[0] != '}'; {
		var key, value []byte
		key, rest = cutValue(rest)
		value, rest = cutValue(next(rest)[1:]) // after the colon
		if rest = next(rest); rest[0] == ',' {
			rest = next(rest[1:])
		}
		name, err := o.unquote(key)
		f, known := fieldOf(name)
		if err != nil {
			continue
		}
		if !known {
			o.noteMisspelled(name, value)
			continue
		}
		if seen[f] {
			twice = fault.Newf(fault.Corrupt, "%q stands twice, want it once", name)
		}
		seen[f] = true
		if f == fieldID || string(value) != "null" {
			o.value[f] = value
		}
	}
	if twice != nil {
		return twice
	}
	return o.errMisspelled()
}

// noteMisspelled notes a key that rows do not know, with its value.
func (o *object) noteMisspelled(name, value []byte) {
	for i, m := range misspelled {
		if string(name) == m.name && string(value) != "null" {
			o.misspelled[i] = true
		}
	}
}

var errUTF8 = fault.Newf(fault.Corrupt, "invalid UTF-8, want UTF-8")

func badJSON(line []byte) error {
	if len(next(line)) == 0 {
		return fault.Newf(fault.Corrupt, "bad JSON: empty line, want an object")
	}
	var value json.RawMessage
	err := json.Unmarshal(line, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.Newf(fault.Corrupt, "bad JSON at byte %d: %w", syntax.Offset, err)
	}
	return fault.Newf(fault.Corrupt, "bad JSON: %w", err)
}

// text is the value of f, a string.
func (o *object) text(f field) (string, error) {
	value := o.value[f]
	if value[0] != '"' {
		return "", fault.Newf(fault.Corrupt, "%q: got %s, want a string", fieldNames[f], kindName(value))
	}
	s, err := o.unquote(value)
	if err != nil {
		return "", fault.Newf(fault.Corrupt, "%q: %w", fieldNames[f], err)
	}
	return string(s), nil
}

// ids appends to dst the value of f, an array of whole numbers from 0 to 2³¹−1.
func (o *object) ids(f field, dst []int32) ([]int32, error) {
	value := o.value[f]
	if value[0] != '[' {
		return dst, fault.Newf(fault.Corrupt, "%q: got %s, want an array of whole numbers", fieldNames[f], kindName(value))
	}
	dst, bad := appendIDs(dst, value)
	if bad != nil {
		return dst, fault.Newf(fault.Corrupt, "%q: got %.40s at %d, want whole numbers from 0 to 2147483647", fieldNames[f], bad, len(dst))
	}
	return dst, nil
}
