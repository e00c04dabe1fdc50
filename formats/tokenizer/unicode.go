package tokenizer

import "unicode"

//go:generate go run ./gen

// Hugging Face carries the Unicode tables of several years; Go carries one. A
// delta is a way in which a code point differs from the rule Go's tables give
// (testdata/*.codepoints.tsv, delta_table.go).
const (
	deltaNotOther       = uint8(1 << iota) // a Cf of today that was unassigned
	deltaNotMark                           // a Mn of today that was none
	deltaMark                              // a Mn that is none today
	deltaPunctuation                       // a P that is none today
	deltaNotPunctuation                    // a P of today that was none
	deltaNoDecompose                       // a decomposition that did not exist
	deltaUnordered                         // a combining class that did not exist
)

// A deltaRange says what holds from lo to hi: deltas, or a class of the GPT-2 scanner.
type deltaRange struct {
	lo, hi rune
	what   uint8
}

// has says whether r has delta what.
func has(r rune, what uint8) bool { return lookUp(deltas, r)&what != 0 }

// lookUp is what ranges say of r, or 0.
func lookUp(ranges []deltaRange, r rune) uint8 {
	if r < ranges[0].lo {
		return 0
	}
	lo, hi := 0, len(ranges)
	for lo < hi {
		switch mid := (lo + hi) / 2; {
		case r > ranges[mid].hi:
			lo = mid + 1
		case r < ranges[mid].lo:
			hi = mid
		default:
			return ranges[mid].what
		}
	}
	return 0
}

// isOther says whether clean_text drops r: control, format and private use, not the unassigned.
func isOther(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !has(r, deltaNotOther)
}

// isMark says whether strip_accents drops r.
func isMark(r rune) bool {
	if unicode.Is(unicode.Mn, r) {
		return !has(r, deltaNotMark)
	}
	return has(r, deltaMark)
}

// isPunctuation says whether BertPreTokenizer isolates r. ASCII symbols count.
func isPunctuation(r rune) bool {
	if r < 0x80 {
		return r > ' ' && r < 0x7f && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if unicode.IsPunct(r) {
		return !has(r, deltaNotPunctuation)
	}
	return has(r, deltaPunctuation)
}

// isChinese says whether handle_chinese_chars isolates r. The gap below
// U+2B920 is Hugging Face's own.
func isChinese(r rune) bool {
	return 0x4e00 <= r && r <= 0x9fff || 0x3400 <= r && r <= 0x4dbf ||
		0x20000 <= r && r <= 0x2a6df || 0x2a700 <= r && r <= 0x2b73f ||
		0x2b740 <= r && r <= 0x2b81f || 0x2b920 <= r && r <= 0x2ceaf ||
		0xf900 <= r && r <= 0xfaff || 0x2f800 <= r && r <= 0x2fa1f
}

// isWord is \w of the Rust regular expressions that decide whether an added
// token with single_word stands alone.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}

// toLower is the first lower-case character of r; only U+0130 has a second.
func toLower(r rune) rune {
	if r >= deltaLowerMin {
		if l, ok := deltaLower[r]; ok {
			return l
		}
	}
	return unicode.ToLower(r)
}
