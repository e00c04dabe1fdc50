package tokenizer

import (
	"unicode"
	"unicode/utf8"

	"etc/fault"
)

// makeVocab builds the trie of the model's own tokens.
func (t *Tokenizer) makeVocab() error {
	outside := map[int32]bool{}
	for _, a := range t.def.added {
		if a.outside {
			outside[a.id] = true
		}
	}
	t.vocab = newTrie(len(t.def.text))
	for id, s := range t.def.text {
		if s == "" || outside[int32(id)] {
			continue
		}
		if !t.vocab.insert(s, int32(id)) {
			return fault.Newf(fault.Corrupt, "tokenizer: token %q has two ids, one is %d", s, id)
		}
	}
	t.continuation = t.vocab.find(t.def.continuingPrefix)
	return nil
}

// appendWordPieces cuts text into words as BertPreTokenizer does, at white
// space, which vanishes, and around each punctuation character, and appends the ids of each word.
func (t *Tokenizer) appendWordPieces(ids []int32, text []byte) []int32 {
	start, chars := 0, 0
	for i := 0; i < len(text); {
		class, size := bertClass(text[i:])
		if class == inWord {
			i += size
			chars++
			continue
		}
		ids = t.appendWord(ids, text[start:i], chars)
		if class == punctuation {
			ids = t.appendWord(ids, text[i:i+size], 1)
		}
		i += size
		start, chars = i, 0
	}
	return t.appendWord(ids, text[start:], chars)
}

// appendWord appends the pieces of a word: each the longest the vocabulary
// has, or the unknown token alone if somewhere there is none.
func (t *Tokenizer) appendWord(ids []int32, word []byte, chars int) []int32 {
	if chars > t.def.maxWordChars {
		return append(ids, t.def.unk)
	}
	before := len(ids)
	for node := rootNode; len(word) > 0; node = t.continuation {
		id, n := noID, 0
		if node != noNode {
			id, n = t.vocab.longest(node, word)
		}
		if n == 0 {
			return append(ids[:before], t.def.unk)
		}
		ids = append(ids, id)
		word = word[n:]
	}
	return ids
}

// What BertPreTokenizer sees in a character.
const (
	inWord = uint8(iota)
	whiteSpace
	punctuation
)

var asciiClass = makeASCIIClass()

func makeASCIIClass() (class [utf8.RuneSelf]uint8) {
	for c := range rune(utf8.RuneSelf) {
		switch {
		case unicode.IsSpace(c):
			class[c] = whiteSpace
		case isPunctuation(c):
			class[c] = punctuation
		}
	}
	return class
}

// bertClass classifies the first character of text and gives its size in bytes.
func bertClass(text []byte) (class uint8, size int) {
	if c := text[0]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, size := utf8.DecodeRune(text)
	switch {
	case unicode.IsSpace(r):
		return whiteSpace, size
	case isPunctuation(r):
		return punctuation, size
	}
	return inWord, size
}
