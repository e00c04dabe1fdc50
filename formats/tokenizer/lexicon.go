package tokenizer

import (
	"math/rand/v2"
	"strings"

	"etc/fault"
)

// maxLexiconBytes bounds a string of a lexicon, and with it the time to look for one
// at every byte of a text. The longest in multilingual vocabularies have about 60.
const maxLexiconBytes = 256

// A lexicon finds the longest of many strings that a text begins with. It
// hashes every beginning of the text in one pass, then looks the hashes up from the longest down.
type lexicon struct {
	texts   []string
	longest int    // bytes of the longest string
	seed    uint64 // hash of the empty string, drawn at random: no file can be written to collide
	ids     table  // hash of a string -> its index in texts
}

// A hashState is the hash of a string and the string.
type hashState struct {
	hash uint64
	text string
}

// prefixHashes is scratch for find.
type prefixHashes [maxLexiconBytes]uint64

// maxSeeds is how many seeds are tried. That one makes two of 2²⁴ strings
// collide has a probability of about 2⁻¹⁶.
const maxSeeds = 8

// newLexicon makes a lexicon of those texts that are not empty and not left out. Two
// that are equal are fault.Corrupt.
func newLexicon(texts []string, leftOut map[int32]bool) (lexicon, error) {
	for range maxSeeds {
		l := lexicon{texts: texts, seed: rand.Uint64(), ids: newTable(len(texts))}
		if twin := l.addAll(leftOut); twin != noID {
			return l, fault.Newf(fault.Corrupt, "tokenizer: token %q has two ids, one is %d", texts[twin], twin)
		}
		if l.longest > maxLexiconBytes {
			return l, fault.Newf(fault.Unsupported, "tokenizer: a token has %d bytes, supported up to %d", l.longest, maxLexiconBytes)
		}
		if l.ids.used == l.size(leftOut) {
			return l, nil
		}
	}
	return lexicon{}, fault.Newf(fault.Corrupt, "tokenizer: the vocabulary is made to defeat hashing")
}

// addAll adds the texts and is the index of one that is there twice, or noID.
func (l *lexicon) addAll(leftOut map[int32]bool) (twin int32) {
	for i, s := range l.texts {
		id := int32(i)
		if s == "" || leftOut[id] {
			continue
		}
		key := l.start(s).hash >> 1
		if other, ok := l.ids.get(key); ok && l.texts[other] == s {
			return id
		}
		l.ids.set(key, id)
		l.longest = max(l.longest, len(s))
	}
	return noID
}

// size is how many texts the lexicon must hold.
func (l *lexicon) size(leftOut map[int32]bool) int {
	n := 0
	for i, s := range l.texts {
		if s != "" && !leftOut[int32(i)] {
			n++
		}
	}
	return n
}

// start is the state from which find looks for strings that begin with prefix.
func (l *lexicon) start(prefix string) hashState {
	h := l.seed
	for i := range len(prefix) {
		h = (h ^ uint64(prefix[i])) * mixer
	}
	return hashState{h, prefix}
}

// find is the index of the longest string that is the prefix of from and then the
// first n bytes of text, n at least 1; n is 0 if there is none.
func (l *lexicon) find(from *hashState, text []byte, scratch *prefixHashes) (id int32, n int) {
	h := from.hash
	most := min(len(text), l.longest-len(from.text))
	for i := range most {
		h = (h ^ uint64(text[i])) * mixer
		scratch[i] = h
	}
	for n := most; n > 0; n-- {
		id, ok := l.ids.get(scratch[n-1] >> 1)
		if ok && len(l.texts[id]) == len(from.text)+n && l.texts[id][len(from.text):] == string(text[:n]) && strings.HasPrefix(l.texts[id], from.text) {
			return id, n
		}
	}
	return noID, 0
}
