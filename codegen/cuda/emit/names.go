package emit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"etc/executor/gpu"
)

// identifiers are the names of allocations in main.cu, each another. Those of
// weights begin with w_, so that none is a word of C++ or of main.cu.
func identifiers(list []gpu.Allocation) []string {
	var names []string
	taken := map[string]bool{}
	for _, m := range list {
		base := identifier(m.Name)
		if len(m.Data) > 0 {
			base = "w_" + base
		}
		name := base
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", base, n)
		}
		taken[name] = true
		names = append(names, name)
	}
	return names
}

// identifier is s with what C++ does not take in a name as underscores.
func identifier(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, s)
}

// cString is s as a string of C++.
func cString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\' || c == '?':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// comment is s as it may stand after //: on one line, and the next not part of it.
func comment(s string) string {
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s), `\ `)
}

// floatText is a number as C++ reads it back to the same float.
func floatText(f float32) string {
	switch {
	case f != f:
		return "NAN"
	case math.IsInf(float64(f), 1):
		return "INFINITY"
	case math.IsInf(float64(f), -1):
		return "-INFINITY"
	}
	s := strconv.FormatFloat(float64(f), 'g', -1, 32)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s + "f"
}
