package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// What the GPT-2 scanner sees in a character.
const (
	isSymbol = uint8(iota)
	isSpace
	isLetter
	isNumber
)

// gptClass classifies the first character of text and gives its size in bytes.
func gptClass(text []byte) (class uint8, size int) {
	c := text[0]
	switch {
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRune(text)
		return runeClass(r), size
	case 'a' <= c|0x20 && c|0x20 <= 'z':
		return isLetter, 1
	case '0' <= c && c <= '9':
		return isNumber, 1
	case c == ' ' || '\t' <= c && c <= '\r':
		return isSpace, 1
	}
	return isSymbol, 1
}

func runeClass(r rune) uint8 {
	switch {
	case unicode.IsLetter(r):
		return isLetter
	case unicode.IsNumber(r):
		return isNumber
	case unicode.IsSpace(r):
		return isSpace
	}
	return lookUp(classDeltas, r) // isSymbol where it says nothing
}

// wordEnd is the length of the first word of text, which is not empty, by the
// regular expression of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func wordEnd(text []byte) int {
	if n := contraction(text); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' && len(text) > 1 {
		start = 1
	}
	class, size := gptClass(text[start:])
	if class == isSpace {
		return spaceEnd(text)
	}
	return runEnd(text, start+size, class)
}

// contraction is the length of 's, 't, 're, 've, 'm, 'll or 'd at the start of text, or 0.
func contraction(text []byte) int {
	if text[0] != '\'' || len(text) < 2 {
		return 0
	}
	switch text[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) < 3 {
		return 0
	}
	switch string(text[1:3]) {
	case "re", "ve", "ll":
		return 3
	}
	return 0
}

// runEnd is where the characters of class that begin at i end.
func runEnd(text []byte, i int, class uint8) int {
	for i < len(text) {
		c, size := gptClass(text[i:])
		if c != class {
			break
		}
		i += size
	}
	return i
}

// spaceEnd is the end of the white space that text begins with, less its last
// character where something follows, unless nothing would remain: that
// character belongs to the next word, or stands alone.
func spaceEnd(text []byte) int {
	end := runEnd(text, 0, isSpace)
	if end == len(text) {
		return end
	}
	_, last := utf8.DecodeLastRune(text[:end])
	if end == last {
		return end
	}
	return end - last
}

// appendByteLevel cuts text into words and appends the ids of each.
func (e *Encoder) appendByteLevel(ids []int32, text []byte) []int32 {
	if e.t.def.addPrefixSpace && text[0] != ' ' {
		e.norm = append(append(e.norm[:0], ' '), text...)
		text = e.norm
	}
	for len(text) > 0 {
		n := wordEnd(text)
		ids = e.appendBPE(ids, text[:n])
		text = text[n:]
	}
	return ids
}

// byteText is how byte-level vocabularies write each byte: printable Latin-1
// as itself, the others as U+0100 and up (bytes_to_unicode of openai/gpt-2).
func byteText() (text [256]string) {
	next := rune(0x100)
	for b := range rune(256) {
		if '!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b && b <= 'ÿ' {
			text[b] = string(b)
			continue
		}
		text[b] = string(next)
		next++
	}
	return text
}
