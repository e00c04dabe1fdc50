package kernels

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// mutantsVariable chooses how many mutants are tried: "all", or the name of a
// family for all of its kernels. Without it a sample is.
const mutantsVariable = "ETC_MUTANTS"

// sampled is how many mutants of a kernel are tried by default, beside all that
// change what orders threads and copies.
const sampled = 4

// sampledKernels are those of which mutants are sampled: one of each family.
func sampledKernels() []launch.Kernel {
	seen := map[string]bool{}
	var all []launch.Kernel
	for _, s := range suites {
		for _, k := range s.goldens() {
			if !seen[k.Family] {
				seen[k.Family] = true
				all = append(all, k)
			}
		}
	}
	return all
}

// steps bounds what a warp of a mutant runs: no case comes near it.
const steps = 1 << 17

// A trial is one case in one mode, and how long it takes.
type trial struct {
	testCase
	options ptxsim.Options
	takes   time.Duration
}

// A jury is the trials of one kernel, the one that killed last first.
type jury struct {
	entry  string
	trials []trial
}

// newJury runs the cases of a kernel as it is, and orders them by their time.
func newJury(t *testing.T, k launch.Kernel, ptx []byte) *jury {
	t.Helper()
	j := &jury{entry: k.Entry()}
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range suites {
		for _, c := range s.cases() {
			if c.Kernel.Entry() != j.entry {
				continue
			}
			for _, o := range []ptxsim.Options{{Steps: steps}, {Steps: steps, Reverse: true, EarlyCopies: true}} {
				began := time.Now()
				if err := c.Run(m, o); err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
				j.trials = append(j.trials, trial{c, o, time.Since(began)})
			}
		}
	}
	slices.SortStableFunc(j.trials, func(a, b trial) int { return int(a.takes - b.takes) })
	return j
}

// kills reports whether a case fails with the PTX, and whether it is PTX at all.
func (j *jury) kills(ptx []byte) (killed, parsed bool) {
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		return false, false
	}
	if _, err := m.Kernel(j.entry); err != nil {
		return false, false
	}
	for i, c := range j.trials {
		if c.Run(m, c.options) != nil {
			copy(j.trials[1:i+1], j.trials[:i])
			j.trials[0] = c
			return true, true
		}
	}
	return false, true
}

// runs reports whether any case comes to the instruction of a mutant.
func (j *jury) runs(ptx []byte, line int) bool {
	lines := strings.Split(string(ptx), "\n")
	lines[line] = "\ttrap;"
	killed, parsed := j.kills([]byte(strings.Join(lines, "\n")))
	return killed && parsed
}

// A tally counts the mutants of a family.
type tally struct{ tried, executed, killed, equivalent int }

func (a *tally) add(b tally) {
	a.tried, a.executed, a.killed, a.equivalent = a.tried+b.tried, a.executed+b.executed, a.killed+b.killed, a.equivalent+b.equivalent
}

// share is the part of the executed mutants that was killed or cannot be.
func (a tally) share() float64 {
	if a.executed == 0 {
		return 1
	}
	return float64(a.killed) / float64(a.executed-a.equivalent)
}

// equivalentFile lists mutants that compute the same, each with the reason:
// family, place in the source, pattern of the change, reason.
const equivalentFile = "testdata/equivalent.txt"

type equivalent struct {
	family, place string
	change        *regexp.Regexp
	reason        string
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
		if len(parts) != 4 {
			t.Fatalf("%s: %q: want family | place | pattern | reason", equivalentFile, line)
		}
		all = append(all, equivalent{parts[0], parts[1], regexp.MustCompile(parts[2]), parts[3]})
	}
	return all
}

var filePattern = regexp.MustCompile(`(?m)^\s*\.file\s+(\d+)\s+"([^"]+)"`)

// placeOf is the file and line of the source that a mutant changes.
func placeOf(ptx []byte, m mutant) string {
	number, line, _ := strings.Cut(m.source, ":")
	for _, f := range filePattern.FindAllStringSubmatch(string(ptx), -1) {
		if f[1] == number {
			return f[2] + ":" + line
		}
	}
	return m.source
}

// TestMutants: PTX with one instruction changed fails a case. Of the mutants
// whose instruction any case runs, 95 % are killed; of those that drop or
// weaken a barrier or a wait, all that the list of equivalents does not explain.
func TestMutants(t *testing.T) {
	which := os.Getenv(mutantsVariable)
	if which == "" && testing.Short() {
		t.Skip("short")
	}
	list := sampledKernels()
	if which != "" {
		list = nil
		all := goldens()
		for _, entry := range slices.Sorted(maps.Keys(all)) {
			if k := all[entry]; which == "all" || which == k.Family || which == entry {
				list = append(list, k)
			}
		}
	}
	equivalents := readEquivalents(t)
	families := map[string]*tally{}
	for _, k := range list {
		if families[k.Family] == nil {
			families[k.Family] = &tally{}
		}
		families[k.Family].add(tryMutants(t, k, which != "", equivalents))
	}
	for _, family := range slices.Sorted(maps.Keys(families)) {
		f := families[family]
		t.Logf("%s: %d mutants, %d executed, %d killed, %d equivalent: %.1f %%", family, f.tried, f.executed, f.killed, f.equivalent, 100*f.share())
		if which != "" && f.share() < 0.95 {
			t.Errorf("%s: %.1f %% of the mutants on executed instructions are killed, want 95 %%", family, 100*f.share())
		}
	}
}

// tryMutants tries those of one kernel, all or the sample.
func tryMutants(t *testing.T, k launch.Kernel, all bool, equivalents []equivalent) (n tally) {
	t.Helper()
	ptx, err := goldenPTX(k.Entry())
	if err != nil {
		t.Fatal(err)
	}
	j := newJury(t, k, ptx)
	list := mutants(ptx)
	others := slices.DeleteFunc(slices.Clone(list), func(m mutant) bool { return m.kind == synchronisation })
	every := max(1, len(others)/sampled)
	at := 0
	for _, m := range list {
		if m.kind != synchronisation {
			if at++; !all && at%every != every/2 {
				continue
			}
		}
		killed, parsed := j.kills(m.ptx)
		switch {
		case !parsed:
			continue
		case !killed && !j.runs(ptx, m.line):
			n.tried++
			continue
		}
		n.tried++
		n.executed++
		place := placeOf(ptx, m)
		switch {
		case killed:
			n.killed++
		case slices.ContainsFunc(equivalents, func(e equivalent) bool {
			return (e.family == k.Family || e.family == "*") && e.place == place && e.change.MatchString(m.what)
		}):
			n.equivalent++
		case m.kind == synchronisation:
			t.Errorf("%s: survives: %s: %s", k.Entry(), place, m.what)
		default:
			t.Logf("%s: survives: %s: %s: %s", k.Entry(), place, m.kind, m.what)
		}
	}
	t.Logf("%s: %s", k.Entry(), fmt.Sprintf("%d mutants, %d executed, %d killed, %d equivalent", n.tried, n.executed, n.killed, n.equivalent))
	return n
}
