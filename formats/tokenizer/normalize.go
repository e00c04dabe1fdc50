package tokenizer

import (
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizerOptions are the settings of BertNormalizer; with on unset there is no normaliser.
type normalizerOptions struct {
	on           bool
	cleanText    bool
	chineseChars bool
	stripAccents bool // null in a file means: as lowercase
	lowercase    bool
}

// A normalizer is BertNormalizer: clean text, set CJK characters apart, NFD
// without Mn, lower case, in this order.
type normalizer struct {
	normalizerOptions
	ascii [utf8.RuneSelf]int8 // what a character becomes; negative drops it
}

// A mark is a character that NFD orders by its combining class.
type mark struct {
	r     rune
	class uint8
}

func newNormalizer(o normalizerOptions) normalizer {
	n := normalizer{normalizerOptions: o}
	for c := range rune(utf8.RuneSelf) {
		switch {
		case o.cleanText && (c == '\t' || c == '\n' || c == '\r'):
			n.ascii[c] = ' '
		case o.cleanText && isOther(c):
			n.ascii[c] = -1
		case o.lowercase:
			n.ascii[c] = int8(unicode.ToLower(c))
		default:
			n.ascii[c] = int8(c)
		}
	}
	return n
}

// append appends text, normalised, to dst. marks is scratch, empty before and after.
func (n *normalizer) append(dst, text []byte, marks *[]mark) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			i++
			if to := n.ascii[c]; to >= 0 {
				dst = append(n.flush(dst, marks), byte(to))
			}
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		dst = n.appendChar(dst, r, text[i:i+size], marks)
		i += size
	}
	return n.flush(dst, marks)
}

// appendChar normalises r, whose UTF-8 is raw.
func (n *normalizer) appendChar(dst []byte, r rune, raw []byte, marks *[]mark) []byte {
	if n.cleanText {
		if r == utf8.RuneError || isOther(r) {
			return dst
		}
		if unicode.IsSpace(r) {
			return append(n.flush(dst, marks), ' ')
		}
	}
	if !n.chineseChars || !isChinese(r) {
		return n.appendDecomposed(dst, r, raw, marks)
	}
	dst = append(n.flush(dst, marks), ' ')
	dst = n.appendDecomposed(dst, r, raw, marks)
	return append(n.flush(dst, marks), ' ')
}

// appendDecomposed appends the NFD of r without its accents. It goes character by
// character, because norm.NFD.Append puts U+034F into long runs of marks, which Hugging Face does not.
func (n *normalizer) appendDecomposed(dst []byte, r rune, raw []byte, marks *[]mark) []byte {
	if !n.stripAccents {
		return n.appendLower(dst, r)
	}
	if '가' <= r && r <= '힣' {
		return appendHangul(n.flush(dst, marks), r)
	}
	p := norm.NFD.Properties(raw)
	parts := p.Decomposition()
	if parts == nil || has(r, deltaNoDecompose) {
		return n.appendPart(dst, r, p.CCC(), marks)
	}
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		dst = n.appendPart(dst, r, norm.NFD.Properties(parts).CCC(), marks)
		parts = parts[size:]
	}
	return dst
}

// appendPart appends r unless it is an accent. Class 0 ends a run of marks, even where r is dropped.
func (n *normalizer) appendPart(dst []byte, r rune, class uint8, marks *[]mark) []byte {
	accent := isMark(r)
	switch {
	case class == 0 || has(r, deltaUnordered):
		dst = n.flush(dst, marks)
		if !accent {
			dst = n.appendLower(dst, r)
		}
	case !accent:
		*marks = append(*marks, mark{r, class})
	}
	return dst
}

// flush appends the waiting marks in canonical order.
func (n *normalizer) flush(dst []byte, marks *[]mark) []byte {
	if len(*marks) == 0 {
		return dst
	}
	slices.SortStableFunc(*marks, func(a, b mark) int { return cmp.Compare(a.class, b.class) })
	for _, m := range *marks {
		dst = n.appendLower(dst, m.r)
	}
	*marks = (*marks)[:0]
	return dst
}

func (n *normalizer) appendLower(dst []byte, r rune) []byte {
	if !n.lowercase {
		return utf8.AppendRune(dst, r)
	}
	dst = utf8.AppendRune(dst, toLower(r))
	if r == 'İ' {
		dst = utf8.AppendRune(dst, '\u0307')
	}
	return dst
}

// appendHangul appends the two or three letters of a syllable (Unicode, section 3.12).
func appendHangul(dst []byte, r rune) []byte {
	const vowels, trails = 21, 28
	s := r - '가'
	dst = utf8.AppendRune(dst, 0x1100+s/(vowels*trails))
	dst = utf8.AppendRune(dst, 0x1161+s/trails%vowels)
	if t := s % trails; t > 0 {
		dst = utf8.AppendRune(dst, 0x11a7+t)
	}
	return dst
}
