package kernels

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/formats/plan/launch"
)

// mutantsVariable asks for every mutant: of "all" kernels, or of those of the
// families and entries it names. Without it a sample is tried.
const mutantsVariable = "ETC_MUTANTS"

// sampledOthers is how many mutants of a kernel are sampled, beside all that
// change what orders threads and copies.
const sampledOthers = 16

// leastKilled is the part of the mutants of a family that must be killed.
const leastKilled = 0.95

// sampledKernels are one of each family, that with the shortest PTX.
func sampledKernels(t *testing.T) []launch.Kernel {
	t.Helper()
	shortest, size := map[string]launch.Kernel{}, map[string]int{}
	for entry, k := range goldens() {
		ptx, err := goldenPTX(entry)
		if err != nil {
			t.Fatal(err)
		}
		n, seen := size[k.Family]
		if !seen || len(ptx) < n || len(ptx) == n && entry < shortest[k.Family].Entry() {
			shortest[k.Family], size[k.Family] = k, len(ptx)
		}
	}
	var list []launch.Kernel
	for _, family := range slices.Sorted(maps.Keys(shortest)) {
		list = append(list, shortest[family])
	}
	return list
}

// namedKernels are those that the variable names.
func namedKernels(names string) []launch.Kernel {
	var list []launch.Kernel
	all, wanted := goldens(), strings.Split(names, ",")
	for _, entry := range slices.Sorted(maps.Keys(all)) {
		k := all[entry]
		if names == "all" || slices.Contains(wanted, k.Family) || slices.Contains(wanted, entry) {
			list = append(list, k)
		}
	}
	return list
}

// sample keeps all of synchronisation and every so-manieth of the others.
func sample(list []mutant) []mutant {
	others := 0
	for _, m := range list {
		if m.kind != synchronisation {
			others++
		}
	}
	every, at := max(1, others/sampledOthers), 0
	return slices.DeleteFunc(list, func(m mutant) bool {
		if m.kind == synchronisation {
			return false
		}
		at++
		return at%every != every/2
	})
}

// TestMutants: PTX with one instruction changed fails a case of its kernel. Of
// the mutants whose instruction any case executes, 95 % of a family are killed;
// of those that drop or weaken what orders threads and copies, all that
// equivalent.txt does not explain.
func TestMutants(t *testing.T) {
	names := os.Getenv(mutantsVariable)
	if names == "" && testing.Short() {
		t.Skip("short")
	}
	list := namedKernels(names)
	if names == "" {
		list = sampledKernels(t)
	}
	if len(list) == 0 {
		t.Fatalf("%s=%s names no kernel", mutantsVariable, names)
	}
	equivalents := readEquivalents(t)
	families := map[string]mutantTally{}
	for _, k := range list {
		n, ok := tryKernel(t, k, names != "", equivalents)
		if ok {
			n.add(families[k.Family])
			families[k.Family] = n
		}
	}
	for _, family := range slices.Sorted(maps.Keys(families)) {
		f := families[family]
		t.Logf("%s: %v", family, f)
		if names != "" && f.share() < leastKilled {
			t.Errorf("%s: %.1f %% of the mutants on executed instructions are killed, want %.0f %%", family, 100*f.share(), 100*leastKilled)
		}
	}
}

// tryKernel tries the mutants of one kernel, all or a sample. What survives of
// all is written down.
func tryKernel(t *testing.T, k launch.Kernel, all bool, equivalents []equivalent) (n mutantTally, ok bool) {
	t.Helper()
	began := time.Now()
	j := newJury(t, k)
	if j == nil {
		return n, false
	}
	list := mutants(j.lines)
	if !all {
		list = sample(list)
	}
	flow := newThreadFlow(strings.Join(j.lines, "\n"), k.Threads())
	var lines []string
	for i, v := range j.tryAll(list, runtime.GOMAXPROCS(0)) {
		m := list[i]
		s := n.count(v, k, j.lines, m, equivalents, flow)
		if v != survives {
			continue
		}
		lines = append(lines, s.String())
		if m.kind == synchronisation && s.reason == "" {
			t.Errorf("%s: survives: %v", k.Entry(), s)
		}
	}
	t.Logf("%s: %v, %.0f s", k.Entry(), n, time.Since(began).Seconds())
	if all {
		ptx := digest([]byte(strings.Join(j.lines, "\n")))
		records := readSurvivors(t)
		records[k.Entry()] = append([]string{fmt.Sprintf("kernel %s %.12s: %v", k.Entry(), ptx, n)}, lines...)
		writeSurvivors(t, records)
	}
	return n, true
}

// count adds a verdict, and gives the survivor it is about.
func (n *mutantTally) count(v verdict, k launch.Kernel, lines []string, m mutant, equivalents []equivalent, flow *threadFlow) (s survivor) {
	if v == noPTX {
		return s
	}
	n.mutants++
	if v == unseen {
		return s
	}
	n.executed++
	if m.kind == synchronisation {
		n.synchronisation++
	}
	if v == killed {
		n.killed++
		return s
	}
	s = survivorOf(lines, m)
	if flow.proves(m) {
		s.reason = "proved"
	} else {
		s.reason = explain(equivalents, k, s)
	}
	if s.reason != "" {
		n.equivalent++
	}
	return s
}
