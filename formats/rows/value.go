package rows

import (
	"bytes"
	"errors"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// This file walks text that encoding/json has found to be valid JSON, so that
// no bracket, quote or escape can be missing.

// next drops the white space before the next token.
func next(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t' || s[0] == '\r' || s[0] == '\n') {
		s = s[1:]
	}
	return s
}

// cutValue cuts the first value off s, which continues valid JSON.
func cutValue(s []byte) (value, rest []byte) {
	s = next(s)
	end := 0
	switch s[0] {
	case '"':
		end = stringEnd(s)
	case '{', '[':
		end = nestedEnd(s)
	default:
		for end < len(s) && !endsLiteral(s[end]) {
			end++
		}
	}
	return s[:end], s[end:]
}

func endsLiteral(c byte) bool { return c == ',' || c == ']' || c == '}' || c <= ' ' }

// stringEnd is the length of the string that s begins with, quotes included.
func stringEnd(s []byte) int {
	for i := 1; ; i++ {
		if i += bytes.IndexAny(s[i:], `"\`); s[i] == '"' {
			return i + 1
		}
		i++ // what is escaped
	}
}

// nestedEnd is the length of the object or array that s begins with.
func nestedEnd(s []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch s[i] {
		case '"':
			i += stringEnd(s[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// kindName is what a person calls the JSON value that s begins with.
func kindName(s []byte) string {
	switch s[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

var errSurrogate = errors.New("half of a surrogate pair, want Unicode text")

// unquote is the text of a JSON string, good until the next call or as long as
// quoted is. encoding/json would turn half of a surrogate pair into U+FFFD;
// here it is an error as other invalid Unicode is.
func (o *object) unquote(quoted []byte) ([]byte, error) {
	s := quoted[1 : len(quoted)-1]
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s, nil
	}
	text := o.scratch[:0]
	for ; i >= 0; i = bytes.IndexByte(s, '\\') {
		text = append(text, s[:i]...)
		var ok bool
		if text, s, ok = appendEscape(text, s[i:]); !ok {
			return nil, errSurrogate
		}
	}
	o.scratch = append(text, s...)
	return o.scratch, nil
}

// appendEscape appends what the escape that s begins with stands for.
func appendEscape(text, s []byte) (_, rest []byte, ok bool) {
	const width = len(`\u0000`)
	if s[1] != 'u' {
		return append(text, unescaped(s[1])), s[2:], true
	}
	r, rest := hexRune(s[2:]), s[width:]
	if utf16.IsSurrogate(r) {
		if len(rest) < width || rest[0] != '\\' || rest[1] != 'u' {
			return text, rest, false
		}
		r, rest = utf16.DecodeRune(r, hexRune(rest[2:])), rest[width:]
		if r == utf8.RuneError {
			return text, rest, false
		}
	}
	return utf8.AppendRune(text, r), rest, true
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // a quote, a solidus of either kind
}

// hexRune reads the four digits of a \u escape.
func hexRune(s []byte) (r rune) {
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}

// appendIDs appends the whole numbers of a JSON array to dst. It stops at an
// element that is none and gives that as bad.
func appendIDs(dst []int32, array []byte) (_ []int32, bad []byte) {
	for rest := next(array[1:]); rest[0] != ']'; {
		var number []byte
		number, rest = cutValue(rest)
		id, ok := wholeNumber(number)
		if !ok {
			return dst, number
		}
		dst = append(dst, id)
		if rest = next(rest); rest[0] == ',' {
			rest = rest[1:]
		}
	}
	return dst, nil
}

// wholeNumber reads a JSON number without sign, fraction or exponent that fits.
func wholeNumber(s []byte) (n int32, ok bool) {
	const mostDigits = 10 // of an int32
	if len(s) > mostDigits {
		return 0, false
	}
	sum := int64(0)
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		sum = 10*sum + int64(c-'0')
	}
	return int32(sum), sum <= math.MaxInt32
}
