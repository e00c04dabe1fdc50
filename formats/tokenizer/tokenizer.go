// Package tokenizer turns text into token ids exactly as Hugging Face does.
//
// The tokenizer files of a checkpoint enter (New), or the form of them that
// travels inside a plan (Unmarshal); a Tokenizer leaves. It is immutable and may be
// shared; each goroutine encodes through an Encoder of its own.
//
// Two algorithms are known: WordPiece behind BertNormalizer and
// BertPreTokenizer, and byte-level BPE behind the GPT-2 word scanner. Anything
// else in a file is fault.Unsupported, so a Tokenizer that exists is exact.
package tokenizer

// A Tokenizer is a checked definition and the tables made from it.
type Tokenizer struct {
	def definition

	normalizer normalizer
	rawAdded   addedSet // added tokens sought in the text as it came
	normAdded  addedSet // added tokens sought in the normalised text

	// WordPiece
	vocab        lexicon
	wordStart    hashState // from which pieces at the start of a word are found
	continuation hashState // from which the others are

	// byte-level BPE
	merges table // left id, right id -> rank
}

// newTokenizer checks d and makes the tables.
func newTokenizer(d definition) (*Tokenizer, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	t := &Tokenizer{def: d, normalizer: newNormalizer(d.normalize)}
	switch d.model {
	case wordPiece:
		if err := t.makeVocab(); err != nil {
			return nil, err
		}
	case byteLevelBPE:
		t.makeMerges()
	}
	if err := t.makeAddedSets(); err != nil {
		return nil, err
	}
	return t, nil
}

// VocabSize is one more than the largest id.
func (t *Tokenizer) VocabSize() int { return len(t.def.text) }

// Token is the text of id as the vocabulary writes it ("##ing", "Ġthe"), or ""
// if no token has this id.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.def.text) {
		return ""
	}
	return t.def.text[id]
}

// Specials counts the special tokens that the template adds to one text and to a pair.
func (t *Tokenizer) Specials() (single, pair int) {
	return t.def.single.specials(), t.def.pair.specials()
}

// ModelMaxLength is model_max_length of tokenizer_config.json in tokens, or 0 if it says nothing useful.
func (t *Tokenizer) ModelMaxLength() int { return t.def.modelMaxLength }

// Lowercases tells whether text is lowercased before it is cut.
func (t *Tokenizer) Lowercases() bool { return t.def.normalize.on && t.def.normalize.lowercase }

// ReturnsTypeIDs says whether type ids follow the template, as Hugging Face
// decides by tokenizer class or model_input_names. If not, they are all zero.
func (t *Tokenizer) ReturnsTypeIDs() bool { return t.def.typeIDs }

// WithoutTypeIDs is t for a model that has no token types.
func (t *Tokenizer) WithoutTypeIDs() *Tokenizer {
	without := *t
	without.def.typeIDs = false
	return &without
}

// TypeCount is one more than the largest type id that an Encoding can hold.
func (t *Tokenizer) TypeCount() int {
	most := int32(0)
	if t.def.typeIDs {
		for _, p := range append(t.def.single[:len(t.def.single):len(t.def.single)], t.def.pair...) {
			most = max(most, p.typeID)
		}
	}
	return int(most) + 1
}
