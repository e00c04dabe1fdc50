package kernels

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A survivor is a mutant that no case kills.
type survivor struct {
	place  string // file:line of the source
	source string // the line
	mutant
	reason string // why it computes the same; empty: nothing is known
}

func (s survivor) String() string {
	state := "live"
	if s.reason != "" {
		state = "same"
	}
	return fmt.Sprintf("%s | %s | %s | %s | %s", state, s.place, s.kind, s.source, s.what)
}

var filePattern = regexp.MustCompile(`^\s*\.file\s+(\d+)\s+"([^"]+)"`)

// survivorOf finds the source of a mutant.
func survivorOf(lines []string, m mutant) survivor {
	number, at, _ := strings.Cut(m.source, ":")
	s := survivor{mutant: m}
	for _, line := range lines {
		if f := filePattern.FindStringSubmatch(line); f != nil && f[1] == number {
			s.place = f[2] + ":" + at
			text, _ := files.ReadFile(f[2])
			n := 0
			fmt.Sscan(at, &n)
			if all := strings.Split(string(text), "\n"); n > 0 && n <= len(all) {
				s.source, _, _ = strings.Cut(strings.TrimSpace(all[n-1]), "//")
				s.source = strings.TrimSpace(strings.ReplaceAll(s.source, " | ", " \\| "))
			}
		}
	}
	return s
}

// equivalentFile lists mutants that compute the same, each with the reason.
const equivalentFile = "testdata/equivalent.txt"

// An equivalent is a line of it: families, or * for all; the source file; a
// pattern of the line there, " : " and the change; and the reason.
type equivalent struct {
	families []string
	file     string
	pattern  *regexp.Regexp
	reason   string
}

func readEquivalents(t *testing.T) []equivalent {
	t.Helper()
	b, err := os.ReadFile(equivalentFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []equivalent
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) != 4 || parts[3] == "" {
			t.Fatalf("%s: %q: want families | file | pattern | reason", equivalentFile, line)
		}
		all = append(all, equivalent{strings.Fields(parts[0]), parts[1], regexp.MustCompile(parts[2]), parts[3]})
	}
	return all
}

// explain finds why a survivor computes the same.
func explain(all []equivalent, family string, s survivor) string {
	file, _, _ := strings.Cut(s.place, ":")
	for _, e := range all {
		if e.file == file && (e.families[0] == "*" || slices.Contains(e.families, family)) && e.pattern.MatchString(s.source+" : "+s.what) {
			return e.reason
		}
	}
	return ""
}

// survivorsFile keeps what the long form of TestMutants found last.
const survivorsFile = "testdata/survivors.txt"

const survivorsHead = `# What ETC_MUTANTS=... go test -run TestMutants found last of each kernel; it writes this file.
# After a kernel, the digest of its PTX, and its figures: a survivor to a line.
# "same" computes the same by a reason of equivalent.txt, of "live" nothing is known.
# same or live | place in the source | what is changed | source | PTX before and after
`

// readSurvivors gives the lines of each kernel.
func readSurvivors(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(survivorsFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all := map[string][]string{}
	entry := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		switch name, ok := strings.CutPrefix(line, "kernel "); {
		case ok:
			entry, _, _ = strings.Cut(name, " ")
			all[entry] = []string{line}
		case entry != "" && line != "":
			all[entry] = append(all[entry], line)
		}
	}
	return all
}

func writeSurvivors(t *testing.T, all map[string][]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(survivorsHead)
	for _, entry := range slices.Sorted(maps.Keys(all)) {
		b.WriteString("\n" + strings.Join(all[entry], "\n") + "\n")
	}
	if err := os.WriteFile(survivorsFile, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}
