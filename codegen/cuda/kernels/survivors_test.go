package kernels

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etc/formats/plan/launch"
)

// A survivor is a mutant that no case kills.
type survivor struct {
	place  string // file:line of the source, " in " that of the call, and so on
	source string // the lines in the same way
	mutant
	reason string // why it computes the same; empty: nothing is known
}

func (s survivor) String() string {
	state := "live"
	if s.reason != "" {
		state = "same"
	}
	line, _, _ := strings.Cut(s.source, " in ")
	return fmt.Sprintf("%s | %s | %s | %s | %s", state, s.place, s.kind, line, s.what)
}

var filePattern = regexp.MustCompile(`^\s*\.file\s+(\d+)\s+"([^"]+)"`)

// survivorOf finds the source of a mutant: its line, and those of the calls that it is inlined for.
func survivorOf(lines []string, m mutant) survivor {
	s := survivor{mutant: m}
	for i, place := range strings.Fields(m.source) {
		number, at, _ := strings.Cut(place, ":")
		for _, line := range lines {
			if f := filePattern.FindStringSubmatch(line); f != nil && f[1] == number {
				if i > 0 {
					s.place, s.source = s.place+" in ", s.source+" in "
				}
				s.place, s.source = s.place+f[2]+":"+at, s.source+sourceLine(f[2], at)
			}
		}
	}
	return s
}

// sourceLine is a line of a file without its comment.
func sourceLine(file, at string) string {
	text, err := files.ReadFile(file)
	n, err2 := strconv.Atoi(at)
	all := strings.Split(string(text), "\n")
	if err != nil || err2 != nil || n < 1 || n > len(all) {
		return ""
	}
	line, _, _ := strings.Cut(all[n-1], "//")
	return strings.TrimSpace(line)
}

// equivalentFile lists mutants that compute the same, each with the reason.
const equivalentFile = "testdata/equivalent.txt"

// An equivalent is a line of it: families, or patterns of entries as path.Match
// takes them, and the source file, or * for all; a pattern of the line there, " : " and the change; and the reason.
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

// isOf tells whether it is about a kernel.
func (e equivalent) isOf(k launch.Kernel) bool {
	return slices.ContainsFunc(e.families, func(name string) bool {
		matches, err := path.Match(name, k.Entry())
		return name == k.Family || matches && err == nil
	})
}

// explain finds why a survivor computes the same.
func explain(all []equivalent, k launch.Kernel, s survivor) string {
	file, _, _ := strings.Cut(s.place, ":")
	for _, e := range all {
		if (e.file == file || e.file == "*") && e.isOf(k) && e.pattern.MatchString(s.source+" : "+s.what) {
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

// kernelSurvivors are the record of a kernel, its figures first, with the PTX that it is of.
type kernelSurvivors struct {
	entry  string
	ptx    []byte
	record []string
}

// currentSurvivors are the records of today's PTX.
func currentSurvivors(t *testing.T) []kernelSurvivors {
	t.Helper()
	var list []kernelSurvivors
	for entry, record := range readSurvivors(t) {
		ptx, err := goldenPTX(entry)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(record[0], digest(ptx)[:12]) {
			list = append(list, kernelSurvivors{entry, ptx, record})
		}
	}
	return list
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
