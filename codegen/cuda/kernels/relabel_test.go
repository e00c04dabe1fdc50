package kernels

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRelabel: temporary; gives the records of survivors.txt the reasons of today.
func TestRelabel(t *testing.T) {
	if os.Getenv("RELABEL") == "" {
		t.Skip()
	}
	head := regexp.MustCompile(`^(kernel \S+ \S+:) (\d+) mutants, (\d+) executed \((\d+) of synchronisation\), (\d+) killed`)
	eq, ks, all := readEquivalents(t), goldens(), readSurvivors(t)
	use := map[string]int{}
	for entry, rec := range all {
		m := head.FindStringSubmatch(rec[0])
		n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
		tally := mutantTally{mutants: n(2), executed: n(3), synchronisation: n(4), killed: n(5)}
		ptx, _ := goldenPTX(entry)
		f := newThreadFlow(string(ptx), ks[entry].Threads())
		for i, line := range rec[1:] {
			r := explain(eq, ks[entry], recorded(line))
			if f.proves(recorded(line).mutant) {
				r = "proved"
			}
			use[r]++
			rest := strings.TrimPrefix(strings.TrimPrefix(line, "live"), "same")
			if r == "" {
				rec[1+i] = "live" + rest
				t.Logf("live: %s: %s", entry, line)
			} else {
				tally.equivalent++
				rec[1+i] = "same" + rest
			}
		}
		if tally.executed != tally.killed+len(rec)-1 {
			t.Errorf("%s: %v with %d survivors", entry, tally, len(rec)-1)
		}
		rec[0] = fmt.Sprintf("%s %v", m[1], tally)
	}
	t.Logf("use proved %d", use["proved"])
	for _, e := range eq {
		t.Logf("use %4d %s | %v | %s", use[e.reason], e.families, e.pattern, e.reason)
	}
	if os.Getenv("RELABEL") == "write" {
		writeSurvivors(t, all)
	}
}
