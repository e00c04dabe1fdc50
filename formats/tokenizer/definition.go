package tokenizer

import (
	"unicode/utf8"

	"etc/fault"
)

// A modelKind is one of the two algorithms; its value stands in the binary form.
type modelKind uint8

const (
	wordPiece    modelKind = 1
	byteLevelBPE modelKind = 2
)

// noID is the absence of a token.
const noID = int32(-1)

const (
	// maxTokens bounds ids, so that a trie node or an id fits 24 bits.
	maxTokens = 1 << 24
	// maxWordChars bounds max_input_chars_per_word, and with it the time a word takes. BERT says 100.
	maxWordChars = 256
	// maxPieces bounds a template; the longest in use, RoBERTa's for a pair, has six.
	maxPieces = 64
	// maxTypeID bounds type ids; models have one to five.
	maxTypeID = 255
)

// A definition is what a tokenizer is, without the tables made to run it. It is
// what files are parsed into and what the binary form holds.
type definition struct {
	model     modelKind
	normalize normalizerOptions

	text []string // by id; "" where no token has the id
	unk  int32    // token of unknown words or characters, or noID

	// WordPiece
	continuingPrefix string
	maxWordChars     int

	// byte-level BPE
	addPrefixSpace bool
	fuseUnk        bool
	byteID         [256]int32 // token of each byte, or noID
	merges         []merge    // by ascending rank

	added        []addedToken
	single, pair template

	typeIDs        bool
	truncateLeft   bool
	modelMaxLength int
}

// A merge replaces two neighbouring tokens by one.
type merge struct{ left, right, result int32 }

func (d *definition) has(id int32) bool {
	return id >= 0 && int(id) < len(d.text) && d.text[id] != ""
}

// check finds whatever could later lead outside a table or take too long,
// whether it came from files or from a plan.
func (d *definition) check() error {
	if len(d.text) > maxTokens {
		return fault.Newf(fault.Unsupported, "tokenizer: %d token ids, at most %d", len(d.text), maxTokens)
	}
	for id, s := range d.text {
		if !utf8.ValidString(s) {
			return fault.Newf(fault.Corrupt, "tokenizer: token %d is not UTF-8", id)
		}
	}
	if d.unk != noID && !d.has(d.unk) {
		return fault.Newf(fault.Corrupt, "tokenizer: unknown token has id %d, which is not in the vocabulary", d.unk)
	}
	if err := d.checkModel(); err != nil {
		return err
	}
	if err := d.checkAdded(); err != nil {
		return err
	}
	if err := d.single.check(d, "single", 1, 0); err != nil {
		return err
	}
	return d.pair.check(d, "pair", 1, 1)
}

func (d *definition) checkModel() error {
	switch {
	case d.model == wordPiece && d.unk == noID:
		return fault.Newf(fault.Corrupt, "tokenizer: unk_token of WordPiece is not in the vocabulary")
	case d.model == wordPiece && d.maxWordChars < 1:
		return fault.Newf(fault.Corrupt, "tokenizer: max_input_chars_per_word is %d, want at least 1", d.maxWordChars)
	case d.model == wordPiece && d.maxWordChars > maxWordChars:
		return fault.Newf(fault.Unsupported, "tokenizer: max_input_chars_per_word is %d, supported up to %d", d.maxWordChars, maxWordChars)
	case d.model == byteLevelBPE && d.normalize.on:
		return fault.Newf(fault.Unsupported, "tokenizer: BPE with a normalizer, supported is none")
	case d.model == byteLevelBPE:
		return d.checkBPE()
	}
	return nil
}

func (d *definition) checkBPE() error {
	for b, id := range d.byteID {
		if id != noID && !d.has(id) {
			return fault.Newf(fault.Corrupt, "tokenizer: byte %d has id %d, which is not in the vocabulary", b, id)
		}
	}
	for rank, m := range d.merges {
		if !d.has(m.left) || !d.has(m.right) || !d.has(m.result) {
			return fault.Newf(fault.Corrupt, "tokenizer: merge %d (%d, %d to %d) names an id that is not in the vocabulary", rank, m.left, m.right, m.result)
		}
	}
	return nil
}

func (d *definition) checkAdded() error {
	seen := make(map[int32]bool, len(d.added))
	for _, a := range d.added {
		switch {
		case !d.has(a.id):
			return fault.Newf(fault.Corrupt, "tokenizer: added token has id %d, which is not in the vocabulary", a.id)
		case seen[a.id]:
			return fault.Newf(fault.Corrupt, "tokenizer: added token %q stands twice", d.text[a.id])
		}
		seen[a.id] = true
	}
	return nil
}
