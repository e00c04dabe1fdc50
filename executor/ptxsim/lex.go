package ptxsim

import "etc/fault"

// A token is a word, a number, a quoted text or one punctuation character.
type token struct {
	text string
	line int
	kind tokenKind
}

type tokenKind uint8

const (
	endOfText tokenKind = iota
	word                // an opcode, directive, register, symbol or label
	number
	quoted // without its quotes
	mark   // one of the characters that stand alone
)

// is says whether t is the punctuation character or word s.
func (t token) is(s string) bool { return t.kind != quoted && t.text == s }

// tokenize cuts PTX text into tokens; comments are white space.
func tokenize(text string) ([]token, error) {
	tokens := make([]token, 0, len(text)/4)
	line := 1
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r' || c == 0 && i == len(text)-1:
			i++ // NVRTC ends its text with a zero byte
		case c == '/' && i+1 < len(text) && (text[i+1] == '/' || text[i+1] == '*'):
			n, lines := comment(text[i:])
			i, line = i+n, line+lines
		default:
			n, kind := scan(text[i:])
			if n == 0 {
				return nil, fault.Newf(fault.Corrupt, "PTX line %d: stray character %q", line, c)
			}
			t := token{text[i : i+n], line, kind}
			if kind == quoted {
				t.text = t.text[1 : n-1]
			}
			tokens, i = append(tokens, t), i+n
		}
	}
	return append(tokens, token{line: line}), nil
}

// comment measures the comment that text begins with: its bytes, and the ends
// of lines in it.
func comment(text string) (n, lines int) {
	if text[1] == '/' {
		for n < len(text) && text[n] != '\n' {
			n++
		}
		return n, 0
	}
	for n = 2; n < len(text); n++ {
		if text[n] == '\n' {
			lines++
		}
		if text[n] == '/' && text[n-1] == '*' && n > 2 {
			return n + 1, lines
		}
	}
	return n, lines
}

// scan measures the token that text begins with; no bytes where it is none.
func scan(text string) (int, tokenKind) {
	switch c := text[0]; {
	case c == '"':
		for n := 1; n < len(text) && text[n] != '\n'; n++ {
			if text[n] == '"' {
				return n + 1, quoted
			}
		}
		return 0, quoted
	case isLetter(c):
		return scanWord(text), word
	case isDigit(c):
		n := 1
		for n < len(text) && (isDigit(text[n]) || isLetter(text[n])) {
			n++
		}
		return n, number
	case c < 0x80 && markCharacter[c]:
		return 1, mark
	}
	return 0, mark
}

// scanWord takes "::" into a word, as in mma.sp::ordered_metadata, and leaves
// the colon that ends a label.
func scanWord(text string) int {
	n := 1
	for n < len(text) {
		switch {
		case isLetter(text[n]) || isDigit(text[n]):
			n++
		case text[n] == ':' && n+2 < len(text) && text[n+1] == ':' && isLetter(text[n+2]):
			n += 2
		default:
			return n
		}
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c == '%' || c == '.'
}

var markCharacter = func() (set [128]bool) {
	for _, c := range []byte("{}[]()<>,;:=+-!|@") {
		set[c] = true
	}
	return set
}()
