package rows

import (
	"strconv"
	"unicode/utf8"
)

// appendFloat32 appends the fewest digits that read back to x, in the form
// that is also JSON (x is finite).
func appendFloat32(dst []byte, x float32) []byte {
	return strconv.AppendFloat(dst, float64(x), 'g', -1, 32)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

func appendVector(dst []byte, v []float32) []byte {
	if len(v) == 0 {
		return append(dst, "[]"...)
	}
	for i, x := range v {
		dst = append(dst, opener(i))
		dst = appendFloat32(dst, x)
	}
	return append(dst, ']')
}

// appendString appends s as JSON. Only what JSON demands is escaped; bytes that
// are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
