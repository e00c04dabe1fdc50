package kernels

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	reciprocalPattern = regexp.MustCompile(`^\s*mul\.(wide|hi)\.[us](16|32)\s+(%\w+), %\w+, (-?\d+);`)
	shiftedPattern    = regexp.MustCompile(`^\s*shr\.[us]\d+\s+%\w+, (%\w+), (\d+);`)
)

// TestReciprocals: equivalent.txt says that a division by a constant gives the
// same where the reciprocal that it is a product with is one more. Kernels of
// attention divide numbers of chunks and of threads; none reaches 4096.
func TestReciprocals(t *testing.T) {
	const numbers = 4096
	kernels, divisions := goldens(), 0
	for _, entry := range slices.Sorted(maps.Keys(kernels)) {
		if !strings.Contains(entry, "attention") && !strings.Contains(entry, "scores") {
			continue
		}
		ptx, err := goldenPTX(entry)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(ptx), "\n")
		for i, line := range lines {
			m := reciprocalPattern.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			bits, _ := strconv.Atoi(m[2])
			n, _ := strconv.ParseInt(m[4], 10, 64)
			reciprocal := uint64(n) & (1<<bits - 1)
			if reciprocal < 1<<12 {
				continue // a product, no division
			}
			shifts := 0
			for _, next := range lines[i:] {
				s := shiftedPattern.FindStringSubmatch(next)
				if s == nil || s[1] != m[3] || s[2] == "31" {
					continue
				}
				shift, _ := strconv.Atoi(s[2])
				if m[1] == "hi" {
					shift += bits
				}
				shifts++
				for x := range uint64(numbers) {
					if x*reciprocal>>shift != x*(reciprocal+1)>>shift {
						t.Fatalf("%s, line %d: %d * %d >> %d is not the same with one more", entry, i+1, x, reciprocal, shift)
					}
				}
			}
			if shifts == 0 && m[1] != "hi" {
				t.Errorf("%s, line %d: the product is not shifted: %s", entry, i+1, spaced(line))
			}
			divisions++
		}
	}
	if divisions == 0 {
		t.Error("no division is found")
	}
	t.Logf("%d divisions", divisions)
}
