package tokenizer

import (
	"encoding/binary"
	"math"

	"etc/fault"
)

// Unmarshal reads what Marshal wrote. Anything else, and anything that
// definition.check refuses, is fault.Corrupt, or fault.Unsupported where a limit is passed.
// It keeps nothing of b, and allocates in proportion to len(b).
func Unmarshal(b []byte) (*Tokenizer, error) {
	r := reader{rest: b}
	d := r.definition()
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes after the end", len(r.rest))
	}
	if r.err != nil {
		return nil, r.err
	}
	return newTokenizer(d)
}

// A reader takes values off the front of rest. After an error it gives zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.Newf(fault.Corrupt, "tokenizer section: "+format, args...)
	}
	r.rest = nil
}

func (r *reader) byte(what string, most byte) byte {
	if len(r.rest) == 0 {
		r.fail("ends before %s", what)
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	if b > most {
		r.fail("%s is %d, want at most %d", what, b, most)
		return 0
	}
	return b
}

// number reads a number of at most most, in its shortest form.
func (r *reader) number(what string, most int) int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || size > 1 && r.rest[size-1] == 0 {
		r.fail("%s is no number", what)
		return 0
	}
	if n > uint64(most) {
		r.fail("%s is %d, want at most %d", what, n, most)
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

// count reads how many items of at least size bytes follow; there must be room for them.
func (r *reader) count(what string, size int) int { return r.number(what, len(r.rest)/size) }

func (r *reader) id(what string) int32 { return int32(r.number(what, maxTokens-1)) }

func (r *reader) optional(what string) int32 { return int32(r.number(what, maxTokens)) - 1 }

func (r *reader) text(what string, size int) string {
	if size > len(r.rest) {
		r.fail("ends inside %s", what)
		return ""
	}
	s := string(r.rest[:size])
	r.rest = r.rest[size:]
	return s
}

func (r *reader) definition() (d definition) {
	if v := r.byte("version", math.MaxUint8); r.err == nil && v != formatVersion {
		r.fail("version is %d, want %d", v, formatVersion)
	}
	d.model = modelKind(r.byte("model", byte(byteLevelBPE)))
	flags := r.number("flags", knownFlags)
	d.setFlags(flags)
	d.modelMaxLength = r.number("model_max_length", math.MaxInt32)
	d.unk = r.optional("unknown token")
	d.text = r.tokens()
	switch d.model {
	case wordPiece:
		d.continuingPrefix = r.text("the continuing prefix", r.count("length of the continuing prefix", 1))
		d.maxWordChars = r.number("max_input_chars_per_word", math.MaxInt32)
	case byteLevelBPE:
		r.merges(&d)
	default:
		r.fail("model is 0")
	}
	d.added = make([]addedToken, r.count("count of added tokens", 2))
	for i := range d.added {
		d.added[i].id = r.id("id of an added token")
		d.added[i].setFlags(r.byte("flags of an added token", knownAdded))
	}
	d.single = r.template()
	d.pair = r.template()
	return d
}

// tokens reads all texts as parts of one string.
func (r *reader) tokens() []string {
	text := make([]string, r.count("count of tokens", 1))
	lengths := make([]int, len(text))
	total := 0
	for i := range lengths {
		lengths[i] = r.number("length of a token", len(r.rest))
		total += lengths[i]
	}
	all := r.text("the tokens", total)
	if r.err != nil {
		return nil
	}
	for i, n := range lengths {
		text[i], all = all[:n], all[n:]
	}
	return text
}

func (r *reader) merges(d *definition) {
	for b := range d.byteID {
		d.byteID[b] = r.optional("token of a byte")
	}
	d.merges = make([]merge, r.count("count of merges", 3))
	for i := range d.merges {
		d.merges[i] = merge{r.id("left of a merge"), r.id("right of a merge"), r.id("result of a merge")}
	}
}

func (r *reader) template() template {
	t := make(template, r.count("count of template pieces", 3))
	for i := range t {
		t[i].kind = r.byte("kind of a template piece", pieceSpecial)
		t[i].id = r.id("id of a template piece")
		t[i].typeID = int32(r.number("type id of a template piece", maxTypeID))
		if t[i].kind != pieceSpecial && t[i].id != 0 {
			r.fail("template piece %d is a text and has id %d", i, t[i].id)
		}
	}
	return t
}
