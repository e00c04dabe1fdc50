package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// makeVocab indexes the model's own tokens.
func (t *Tokenizer) makeVocab() error {
	outside := map[int32]bool{}
	for _, a := range t.def.added {
		if a.outside {
			outside[a.id] = true
		}
	}
	var err error
	t.vocab, err = newLexicon(t.def.text, outside)
	t.wordStart, t.continuation = t.vocab.start(""), t.vocab.start(t.def.continuingPrefix)
	return err
}

// appendWordPieces cuts text into words as BertPreTokenizer does, at white
// space, which vanishes, and around each punctuation character, and appends the ids of each word.
func (e *Encoder) appendWordPieces(ids []int32, text []byte) []int32 {
	start, chars := 0, 0
	for i := 0; i < len(text); {
		class, size := bertClass(text[i:])
		if class == inWord {
			i += size
			chars++
			continue
		}
		ids = e.appendWord(ids, text[start:i], chars)
		if class == punctuation {
			ids = e.appendWord(ids, text[i:i+size], 1)
		}
		i += size
		start, chars = i, 0
	}
	return e.appendWord(ids, text[start:], chars)
}

// appendWord appends the pieces of a word: each the longest the vocabulary
// has, or the unknown token alone if somewhere there is none.
func (e *Encoder) appendWord(ids []int32, word []byte, chars int) []int32 {
	t := e.t
	if chars > t.def.maxWordChars {
		return append(ids, t.def.unk)
	}
	before := len(ids)
	for from := &t.wordStart; len(word) > 0; from = &t.continuation {
		id, n := t.vocab.find(from, word, &e.hashes)
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
