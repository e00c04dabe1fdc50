// Package strictjson reads JSON files of strangers.
//
// The bytes of a file enter, a Go value leaves, as from encoding/json. Refused
// before that is what two readers could understand in two ways: text that is not
// UTF-8, half of a surrogate pair, a key that stands twice in an object, a key
// that the value's type knows in other letter case only, which encoding/json
// takes for it, and what is nested deeper than MaxDepth.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of a file; Hugging Face's stay below 10.
const MaxDepth = 32

var (
	errEnd    = errors.New("not JSON: it ends too early")
	errBehind = errors.New("not JSON: something follows its end")
	errSyntax = errors.New("not JSON")
)

// Unmarshal reads data into v, which is a pointer. Values of another type than v
// wants are a json.UnmarshalTypeError.
func Unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	w := walker{text: string(data)}
	err := w.file(reflect.TypeOf(v).Elem())
	if errors.Is(err, errSyntax) {
		var any json.RawMessage
		return notJSON(json.Unmarshal(data, &any))
	}
	if err != nil {
		return err
	}
	err = json.Unmarshal(data, v)
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return notJSON(err)
	}
	return err
}

// notJSON is what encoding/json says of text that is none.
func notJSON(err error) error {
	if err == nil {
		return errSyntax
	}
	return fmt.Errorf("not JSON: %w", err)
}

// Members calls each with every key and value of the object data, in order,
// until one is an error. data must be valid, as it is in an UnmarshalJSON.
func Members(data []byte, each func(key, value string) error) error {
	w := walker{text: string(data)}
	return w.members(func(key string) error {
		w.space()
		begin := w.at
		if err := w.value(MaxDepth, nil); err != nil {
			return err
		}
		return each(key, w.text[begin:w.at])
	})
}

// A walker goes over text once. It judges structure and strings; numbers and the
// words true, false and null are left to encoding/json.
type walker struct {
	text  string
	at    int
	names map[reflect.Type]map[string]reflect.Type // of structs, the types of their fields
}

func (w *walker) file(t reflect.Type) error {
	if err := w.value(MaxDepth, t); err != nil {
		return err
	}
	if w.space(); w.at < len(w.text) {
		return errBehind
	}
	return nil
}

func (w *walker) space() {
	for w.at < len(w.text) {
		switch w.text[w.at] {
		case ' ', '\t', '\n', '\r':
			w.at++
		default:
			return
		}
	}
}

// next is the first byte behind white space.
func (w *walker) next() (byte, error) {
	if w.space(); w.at == len(w.text) {
		return 0, errEnd
	}
	return w.text[w.at], nil
}

// value goes over a value that is read into a t, or into nothing known if t is nil.
func (w *walker) value(depth int, t reflect.Type) error {
	c, err := w.next()
	switch {
	case err != nil:
		return err
	case c == '"':
		_, err := w.string()
		return err
	case c != '{' && c != '[':
		return w.scalar()
	case depth == 0:
		return fmt.Errorf("nested deeper than %d", MaxDepth)
	case c == '[':
		return w.elements(depth-1, elements(t))
	}
	known := w.known(t)
	var seen keys
	return w.members(func(key string) error {
		if seen.add(key) {
			return fmt.Errorf("%s stands there twice", quote(key))
		}
		of, ok := known[key]
		if !ok {
			for name := range known {
				if strings.EqualFold(name, key) {
					return fmt.Errorf("%s is %q in other letter case", quote(key), name)
				}
			}
			of = elements(t)
		}
		return w.value(depth-1, of)
	})
}

// members calls each behind the colon of every member; it goes over the value.
func (w *walker) members(each func(key string) error) error {
	return w.list('}', func() error {
		key, err := w.string()
		if err != nil {
			return err
		}
		c, err := w.next()
		if err != nil {
			return err
		}
		if c != ':' {
			return errSyntax
		}
		w.at++
		return each(key)
	})
}

func (w *walker) elements(depth int, t reflect.Type) error {
	return w.list(']', func() error { return w.value(depth, t) })
}

// list goes over a list from the byte that opens it to the one that ends it, with each for a part.
func (w *walker) list(end byte, each func() error) error {
	if w.space(); w.at == len(w.text) {
		return errEnd
	}
	w.at++
	for first := true; ; first = false {
		c, err := w.next()
		if err != nil {
			return err
		}
		if c == end && first {
			w.at++
			return nil
		}
		if err := each(); err != nil {
			return err
		}
		if c, err = w.next(); err != nil {
			return err
		}
		w.at++
		switch c {
		case end:
			return nil
		case ',':
			if _, err := w.next(); err != nil {
				return err
			}
		default:
			return errSyntax
		}
	}
}

// scalar goes over what is no string, object or array.
func (w *walker) scalar() error {
	begin := w.at
	if n := strings.IndexAny(w.text[begin:], ",]} \t\n\r"); n >= 0 {
		w.at += n
	} else {
		w.at = len(w.text)
	}
	if w.at == begin {
		return errSyntax
	}
	return nil
}

// string goes over a string and gives what it says.
func (w *walker) string() (string, error) {
	if w.text[w.at] != '"' {
		return "", errSyntax
	}
	begin, escaped := w.at, false
	for w.at++; w.at < len(w.text); w.at++ {
		switch w.text[w.at] {
		case '\\':
			escaped = true
			if err := w.escape(); err != nil {
				return "", err
			}
		case '"':
			w.at++
			if !escaped {
				return w.text[begin+1 : w.at-1], nil
			}
			var s string
			if json.Unmarshal([]byte(w.text[begin:w.at]), &s) != nil {
				return "", errSyntax
			}
			return s, nil
		}
	}
	return "", errEnd
}

// escape goes to the last byte of an escape. Of surrogates it wants both halves.
func (w *walker) escape() error {
	r, n := w.unit()
	switch {
	case n == 0 && w.at+1 < len(w.text) && w.text[w.at+1] == 'u':
		return errSyntax
	case n == 0:
		w.at++
		return nil
	case !utf16.IsSurrogate(r):
		w.at += n - 1
		return nil
	}
	first := w.text[w.at : w.at+n]
	w.at += n
	low, _ := w.unit()
	if utf16.DecodeRune(r, low) == utf8.RuneError {
		return fmt.Errorf("%s is half of a surrogate pair", first)
	}
	w.at += n - 1
	return nil
}

// unit is the code unit that \u and four hexadecimal digits say here, with their length or 0.
func (w *walker) unit() (rune, int) {
	const size = len(`\u0000`)
	if len(w.text) < w.at+size || w.text[w.at] != '\\' || w.text[w.at+1] != 'u' {
		return 0, 0
	}
	r, err := strconv.ParseUint(w.text[w.at+2:w.at+size], 16, 16)
	if err != nil {
		return 0, 0
	}
	return rune(r), size
}

// keys are the keys of an object so far: few in an array, many in a map.
type keys struct {
	few  [12]string
	n    int
	many map[string]struct{}
}

// add tells whether the key was there before.
func (k *keys) add(key string) bool {
	if k.many == nil {
		for _, old := range k.few[:k.n] {
			if old == key {
				return true
			}
		}
		if k.n < len(k.few) {
			k.few[k.n] = key
			k.n++
			return false
		}
		k.many = map[string]struct{}{}
		for _, old := range k.few {
			k.many[old] = struct{}{}
		}
	}
	before := len(k.many)
	k.many[key] = struct{}{}
	return len(k.many) == before
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// plain is t behind pointers, nil where the type reads its JSON itself.
func plain(t reflect.Type) reflect.Type {
	for t != nil {
		if reflect.PointerTo(t).Implements(unmarshaler) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// elements is the type of the elements of a t, nil where it has none.
func elements(t reflect.Type) reflect.Type {
	if t = plain(t); t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map) {
		return t.Elem()
	}
	return nil
}

// known are the fields of a struct by the names they have in JSON.
func (w *walker) known(t reflect.Type) map[string]reflect.Type {
	if t = plain(t); t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	if names, ok := w.names[t]; ok {
		return names
	}
	names := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" || !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		names[name] = f.Type
	}
	if w.names == nil {
		w.names = map[reflect.Type]map[string]reflect.Type{}
	}
	w.names[t] = names
	return names
}

// quote shows a key in an error, cut.
func quote(key string) string {
	const shown = 60
	if s := strconv.Quote(key); len(s) <= shown {
		return s
	}
	return fmt.Sprintf("%.*q…", shown, key)
}
