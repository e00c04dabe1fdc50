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
// same where the reciprocal that it is a product with is one more. Kernels
// divide numbers of chunks and of threads, which stay below 4096 (16 bits), and
// counts of rows and of stages, which stay below 2^24 (32 bits).
func TestReciprocals(t *testing.T) {
	bounds := map[int]uint64{16: 1 << 12, 32: 1 << 24}
	kernels, divisions := goldens(), 0
	for _, entry := range slices.Sorted(maps.Keys(kernels)) {
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
			if reciprocal < 1<<12 || reciprocal%256 == 0 {
				continue // no division: a product of sizes
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
				if same := sameQuotients(reciprocal, shift); same < bounds[bits] {
					t.Errorf("%s, line %d: n * %d >> %d is the same with one more only below %d", entry, i+1, reciprocal, shift, same)
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

// sameQuotients is the number below which n*reciprocal >> shift is n/d, and so
// it is with one more, of the d that the reciprocal is that of.
//
// With m the reciprocal and m*d = 2^shift + e, n*m / 2^shift is n/d + n*e / (d * 2^shift).
// n/d is at least 1/d below the next whole number, so that the quotient is right
// while n*e < 2^shift. With m+1, e is d more.
func sameQuotients(reciprocal uint64, shift int) uint64 {
	power := uint64(1) << shift
	d := (power + reciprocal - 1) / reciprocal
	return power / (reciprocal*d - power + d)
}
