package tokenizer

import (
	"math"
	"slices"
	"unicode/utf8"

	"etc/fault"
)

// An Encoding is one row: token ids and, of the same length, type ids.
type Encoding struct{ IDs, TypeIDs []int32 }

// Cut leaves the first n tokens, where there are more.
func (e *Encoding) Cut(n int) {
	e.IDs, e.TypeIDs = e.IDs[:min(n, len(e.IDs))], e.TypeIDs[:min(n, len(e.TypeIDs))]
}

// An Encoder encodes with one Tokenizer. It keeps its buffers from call to call, so
// it allocates nothing in the long run and serves one goroutine at a time.
type Encoder struct {
	t *Tokenizer

	a, b    []int32 // ids of text and pair
	text    []byte  // the text
	norm    []byte  // a piece of it, normalised
	marks   []mark  // normalizer: marks that wait for their order
	symbols symbols
	queue   []uint64 // BPE: merges that may apply, a heap
	hashes  prefixHashes
}

// keepSize bounds a buffer, in bytes or ids, kept for the next call, so that one huge row does
// not hold memory for ever. It is far above any row that fits a model.
const keepSize = 1 << 20

// NewEncoder makes an Encoder, one for each goroutine.
func (t *Tokenizer) NewEncoder() *Encoder { return &Encoder{t: t} }

// Encode puts the ids of text, or of text and pair where pair is not nil, into dst, whose
// slices it reuses. The template's special tokens are added. maxTokens, if not 0, bounds
// the ids: the longer of text and pair is cut first, special tokens stay.
//
// Text that is not UTF-8 is fault.Corrupt; maxTokens too small for the special
// tokens is fault.Usage.
func (e *Encoder) Encode(dst *Encoding, text string, pair *string, maxTokens int) error {
	var err error
	if e.a, err = e.AppendIDs(e.a[:0], text); err != nil {
		return err
	}
	form := e.t.def.single
	e.b = e.b[:0]
	if pair != nil {
		form = e.t.def.pair
		if e.b, err = e.AppendIDs(e.b, *pair); err != nil {
			return err
		}
	}
	a, b := e.a, e.b
	if maxTokens != 0 {
		room := maxTokens - form.specials()
		if room < 0 {
			return fault.Newf(fault.Usage, "tokenizer: at most %d tokens asked for, the special tokens alone are %d", maxTokens, form.specials())
		}
		keepA, keepB := truncated(len(a), len(b), room)
		a, b = e.cut(a, keepA), e.cut(b, keepB)
	}
	e.fill(dst, form, a, b)
	if cap(e.a) > keepSize || cap(e.b) > keepSize {
		e.a, e.b = nil, nil
	}
	return nil
}

// AppendIDs appends the ids of text to ids without special tokens or
// truncation: what perplexity counts over a whole document.
func (e *Encoder) AppendIDs(ids []int32, text string) ([]int32, error) {
	if len(text) > math.MaxInt32 {
		return ids, fault.Newf(fault.Corrupt, "text: %d bytes, at most %d", len(text), math.MaxInt32)
	}
	if !utf8.ValidString(text) {
		return ids, fault.Newf(fault.Corrupt, "text: byte %d is not UTF-8", validPrefix(text))
	}
	e.text = append(e.text[:0], text...)
	ids = e.split(ids, e.text, &e.t.rawAdded, (*Encoder).appendNormalized)
	e.release()
	return ids, nil
}

// validPrefix is how many bytes of s are UTF-8.
func validPrefix(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(s)
}

// split looks for the added tokens of set in text; what lies between goes to piece.
func (e *Encoder) split(ids []int32, text []byte, set *addedSet, piece func(*Encoder, []int32, []byte) []int32) []int32 {
	if len(set.tokens) == 0 {
		return piece(e, ids, text)
	}
	done := 0
	for from := 0; ; {
		m, ok := set.find(text, from, &e.hashes)
		if !ok {
			return piece(e, ids, text[done:])
		}
		ids = piece(e, ids, text[done:max(done, m.start)])
		ids = append(ids, m.id)
		done, from = m.stop, m.next
	}
}

// appendNormalized appends the ids of a stretch between two added tokens. The
// second search, for tokens that stand in normalised text, happens here.
func (e *Encoder) appendNormalized(ids []int32, text []byte) []int32 {
	if e.t.normalizer.on {
		e.norm = e.t.normalizer.append(e.norm[:0], text, &e.marks)
		text = e.norm
	}
	return e.split(ids, text, &e.t.normAdded, (*Encoder).appendWords)
}

// appendWords appends the ids of normalised text without added tokens.
func (e *Encoder) appendWords(ids []int32, text []byte) []int32 {
	if len(text) == 0 {
		return ids
	}
	if e.t.def.model == wordPiece {
		return e.appendWordPieces(ids, text)
	}
	return e.appendByteLevel(ids, text)
}

func (e *Encoder) cut(ids []int32, keep int) []int32 {
	if e.t.def.truncateLeft {
		return ids[len(ids)-keep:]
	}
	return ids[:keep]
}

// fill lays texts and special tokens out as form says.
func (e *Encoder) fill(dst *Encoding, form template, a, b []int32) {
	dst.IDs, dst.TypeIDs = dst.IDs[:0], dst.TypeIDs[:0]
	for _, p := range form {
		switch p.kind {
		case pieceText:
			dst.IDs = append(dst.IDs, a...)
		case piecePair:
			dst.IDs = append(dst.IDs, b...)
		case pieceSpecial:
			dst.IDs = append(dst.IDs, p.id)
		}
		dst.TypeIDs = slices.Grow(dst.TypeIDs, len(dst.IDs)-len(dst.TypeIDs))
		typeID := p.typeID
		if !e.t.def.typeIDs {
			typeID = 0
		}
		for len(dst.TypeIDs) < len(dst.IDs) {
			dst.TypeIDs = append(dst.TypeIDs, typeID)
		}
	}
}

// release drops the buffers that a huge text left behind.
func (e *Encoder) release() {
	if cap(e.text) > keepSize || cap(e.norm) > keepSize {
		e.text, e.norm, e.marks, e.symbols, e.queue = nil, nil, nil, nil, nil
	}
}
