package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"etc/fault"
	"etc/ir/tensor"
)

const (
	lengthField   = 8
	maxHeader     = 100_000_000 // of the reference implementation
	maxEntries    = 1 << 17     // tensors, and keys of the metadata: far above any model, bounds what the library allocates
	maxRank       = 8           // dimensions of a tensor: twice what models have, so that all shapes hold 2^20 values at most
	metadataKey   = "__metadata__"
	keyDType      = "dtype"
	keyShape      = "shape"
	keyOffsets    = "data_offsets"
	offsetsWanted = 2
)

// An entry is one tensor of a header; its data is [begin, end) after the header.
type entry struct {
	name       string
	dtype      tensor.DType
	shape      []int
	begin, end int
}

type header struct {
	size     int // bytes before the data, the length field included
	entries  []entry
	metadata map[string]string
}

func corrupt(format string, args ...any) error { return fault.Newf(fault.Corrupt, format, args...) }

// readHeader is the guard: it accepts a file only where nothing in its header
// can be read in two ways and every byte of data belongs to one tensor. It is
// stricter than the library, so that what it accepts the library does too.
func readHeader(data []byte) (header, error) {
	if len(data) < lengthField {
		return header{}, corrupt("file of %d bytes, want at least the %d of the header's length", len(data), lengthField)
	}
	n := binary.LittleEndian.Uint64(data)
	switch left := uint64(len(data) - lengthField); {
	case n > maxHeader:
		return header{}, corrupt("header of %d bytes, want at most %d", n, maxHeader)
	case n > left:
		return header{}, corrupt("header of %d bytes in a file that has %d left", n, left)
	}
	h := header{size: lengthField + int(n)}
	text := data[lengthField:h.size]
	switch {
	case !utf8.Valid(text):
		return header{}, corrupt("header: not valid UTF-8")
	case len(text) == 0 || text[0] != '{':
		return header{}, corrupt("header begins with %s, want {", quote(string(text[:min(1, len(text))])))
	}
	if err := h.parse(text); err != nil {
		return header{}, err
	}
	size := len(data) - h.size
	for _, e := range h.entries {
		if err := e.check(size); err != nil {
			return header{}, err
		}
	}
	return h, checkCover(h.entries, size)
}

// parse reads the JSON text into h.
func (h *header) parse(text []byte) error {
	r := &reader{dec: json.NewDecoder(bytes.NewReader(text))}
	r.dec.UseNumber()
	err := r.object("header", maxEntries, func(key string) error {
		if key == metadataKey {
			return h.parseMetadata(r)
		}
		return h.parseEntry(r, key)
	})
	if err != nil {
		return err
	}
	if rest := bytes.Trim(text[r.dec.InputOffset():], " \t\r\n"); len(rest) != 0 {
		return corrupt("header: %s after its end", quote(string(rest)))
	}
	return nil
}

func (h *header) parseMetadata(r *reader) error {
	h.metadata = map[string]string{}
	return r.object(metadataKey, maxEntries, func(key string) (err error) {
		h.metadata[key], err = r.string(metadataKey + ": " + quote(key))
		return err
	})
}

func (h *header) parseEntry(r *reader, name string) error {
	// JSON escapes can spell half a surrogate pair, which decodes to U+FFFD:
	// two names would become one.
	if strings.ContainsRune(name, utf8.RuneError) {
		return corrupt("header: tensor name %s holds U+FFFD or half a surrogate pair", quote(name))
	}
	e := entry{name: name}
	what := "tensor " + quote(name)
	found := 0
	err := r.object(what, 3, func(key string) (err error) {
		found++
		switch of := what + ": " + key; key {
		case keyDType:
			e.dtype, err = r.dtype(of)
		case keyShape:
			e.shape, err = r.naturals(of, maxRank)
		case keyOffsets:
			err = r.offsets(of, &e)
		default:
			err = corrupt("%s: unknown key %s", what, quote(key))
		}
		return err
	})
	if err != nil {
		return err
	}
	if found != 3 {
		return corrupt("%s: %d keys, want %s, %s and %s", what, found, keyDType, keyShape, keyOffsets)
	}
	h.entries = append(h.entries, e)
	return nil
}

// check holds the entry's offsets against its own shape and the size of the data.
func (e *entry) check(size int) error {
	what := "tensor " + quote(e.name)
	if e.end < e.begin {
		return corrupt("%s: offsets [%d, %d] are reversed", what, e.begin, e.end)
	}
	if e.end > size {
		return corrupt("%s: ends at byte %d of %d: the file is truncated or the offset wrong", what, e.end, size)
	}
	unit := e.dtype.Size()
	if e.begin%unit != 0 {
		return corrupt("%s: begins at byte %d, want a multiple of %d for %s", what, e.begin, unit, e.dtype.Code())
	}
	// A dimension of zero does not excuse an overflow among the others:
	// somebody will multiply them in another order.
	bound := []int{unit}
	for _, d := range e.shape {
		bound = append(bound, max(d, 1))
	}
	if _, ok := tensor.Elements(bound); !ok {
		return corrupt("%s: shape %v of %s overflows", what, e.shape, e.dtype.Code())
	}
	n, _ := tensor.Elements(e.shape)
	if n*unit != e.end-e.begin {
		return corrupt("%s: shape %v of %s is %d bytes, offsets [%d, %d] are %d",
			what, e.shape, e.dtype.Code(), n*unit, e.begin, e.end, e.end-e.begin)
	}
	return nil
}

// byOffset returns the entries as their data lies in the file.
func byOffset(entries []entry) []entry {
	return slices.SortedStableFunc(slices.Values(entries), func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
}

// checkCover accepts entries that cover the data without gap or overlap.
func checkCover(entries []entry, size int) error {
	at, before := 0, "the header"
	for _, e := range byOffset(entries) {
		switch what := quote(e.name); {
		case e.begin < at:
			return corrupt("tensor %s begins at byte %d, inside %s", what, e.begin, before)
		case e.begin > at:
			return corrupt("tensor %s begins at byte %d, want %d, the end of %s", what, e.begin, at, before)
		default:
			at, before = e.end, "tensor "+what
		}
	}
	if at != size {
		return corrupt("%d bytes after the end of %s, want none", size-at, before)
	}
	return nil
}

// A reader takes the header apart token by token, so that nothing is held
// that was not asked for.
type reader struct{ dec *json.Decoder }

func (r *reader) token(what string) (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, corrupt("%s: not JSON: %w", what, err)
	}
	return t, nil
}

// open reads the delimiter that begins an object or array.
func (r *reader) open(what string, want json.Delim, kind string) error {
	t, err := r.token(what)
	if err != nil {
		return err
	}
	if t != want {
		return corrupt("%s is %s, want %s", what, describe(t), kind)
	}
	return nil
}

// object reads an object of at most limit keys and calls value to read each
// value. A key that comes twice is refused.
func (r *reader) object(what string, limit int, value func(key string) error) error {
	if err := r.open(what, '{', "an object"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for r.dec.More() {
		t, err := r.token(what)
		if err != nil {
			return err
		}
		key := t.(string) // the decoder accepts nothing else here
		if seen[key] {
			return corrupt("%s: %s stands there twice", what, quote(key))
		}
		if len(seen) == limit {
			return corrupt("%s: more than %d keys", what, limit)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	_, err := r.token(what) // the closing brace
	return err
}

func (r *reader) string(what string) (string, error) {
	t, err := r.token(what)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", corrupt("%s is %s, want a string", what, describe(t))
	}
	return s, nil
}

// otherCodes are the element types of the format that no model here is made of.
var otherCodes = []string{"F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"}

func (r *reader) dtype(what string) (tensor.DType, error) {
	code, err := r.string(what)
	if err != nil {
		return tensor.Invalid, err
	}
	d, ok := tensor.ParseCode(code)
	if !ok && slices.Contains(otherCodes, code) {
		return tensor.Invalid, fault.Newf(fault.Unsupported, "%s %s is not supported", what, code).
			WithHint("in Python, load the model, and save it in float32, float16 or bfloat16")
	}
	if !ok {
		return tensor.Invalid, corrupt("%s %s is not known", what, quote(code))
	}
	return d, nil
}

// naturals reads an array of at most limit integers from 0 to the largest int.
func (r *reader) naturals(what string, limit int) ([]int, error) {
	if err := r.open(what, '[', "an array"); err != nil {
		return nil, err
	}
	values := []int{}
	for r.dec.More() {
		t, err := r.token(what)
		if err != nil {
			return nil, err
		}
		number, _ := t.(json.Number)
		v, err := strconv.ParseUint(string(number), 10, strconv.IntSize-1)
		if err != nil {
			return nil, corrupt("%s holds %s, want integers from 0 to 2^%d-1", what, describe(t), strconv.IntSize-1)
		}
		if len(values) == limit {
			return nil, corrupt("%s: more than %d values", what, limit)
		}
		values = append(values, int(v))
	}
	_, err := r.token(what) // the closing bracket
	return values, err
}

func (r *reader) offsets(what string, e *entry) error {
	v, err := r.naturals(what, offsetsWanted)
	if err != nil {
		return err
	}
	if len(v) != offsetsWanted {
		return corrupt("%s: %d values, want %d", what, len(v), offsetsWanted)
	}
	e.begin, e.end = v[0], v[1]
	return nil
}

// describe names a token in an error.
func describe(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "an array"
	case json.Number:
		return string(t[:min(len(t), shown)])
	case string:
		return quote(t)
	case bool:
		return strconv.FormatBool(t)
	}
	panic("bug: safetensors: token of another type")
}
