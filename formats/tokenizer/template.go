package tokenizer

import (
	"slices"

	"etc/fault"
)

// What a piece of a template stands for.
const (
	pieceText    = uint8(0) // the text
	piecePair    = uint8(1) // the second text
	pieceSpecial = uint8(2) // the token id
)

// A piece is one part of what an encoding is made of.
type piece struct {
	kind   uint8
	id     int32 // of pieceSpecial, else 0
	typeID int32
}

// A template is the order in which texts and special tokens follow each other.
type template []piece

// plainSingle and plainPair are what Hugging Face does without a template.
var (
	plainSingle = template{{kind: pieceText}}
	plainPair   = template{{kind: pieceText}, {kind: piecePair, typeID: 1}}
)

// specials counts the tokens a template adds.
func (t template) specials() int {
	n := 0
	for _, p := range t {
		if p.kind == pieceSpecial {
			n++
		}
	}
	return n
}

// makes says whether t is other, but for type ids where they are not returned.
func (t template) makes(other template, typeIDs bool) bool {
	return slices.EqualFunc(t, other, func(a, b piece) bool {
		return a.kind == b.kind && a.id == b.id && (a.typeID == b.typeID || !typeIDs)
	})
}

// check wants each text as often as texts and pairs say, since a text that comes twice
// or not at all has no length that truncation could keep to.
func (t template) check(d *definition, name string, texts, pairs int) error {
	if len(t) > maxPieces {
		return fault.Newf(fault.Unsupported, "tokenizer: template %q has more than %d pieces", name, maxPieces)
	}
	found := [2]int{}
	for _, p := range t {
		switch {
		case p.typeID < 0 || p.typeID > maxTypeID:
			return fault.Newf(fault.Unsupported, "tokenizer: template %q has type id %d, supported are 0 to %d", name, p.typeID, maxTypeID)
		case p.kind == pieceSpecial && !d.has(p.id):
			return fault.Newf(fault.Corrupt, "tokenizer: template %q has id %d, which is not in the vocabulary", name, p.id)
		case p.kind != pieceSpecial:
			found[p.kind]++
		}
	}
	if found != [2]int{texts, pairs} {
		return fault.Newf(fault.Unsupported, "tokenizer: template %q has sequence A %d times and B %d times, supported is %d and %d", name, found[pieceText], found[piecePair], texts, pairs)
	}
	return nil
}

// truncated is how many tokens stay of two texts of a and b tokens so that
// together they have at most room: the longer gives first. It follows truncate_encodings
// with LongestFirst in huggingface/tokenizers.
func truncated(a, b, room int) (keepA, keepB int) {
	if a+b <= room {
		return a, b
	}
	short := min(a, b)
	long := max(short, room-short)
	if short+long > room {
		short = room / 2
		long = short + room%2
	}
	if a > b {
		return long, short
	}
	return short, long
}
