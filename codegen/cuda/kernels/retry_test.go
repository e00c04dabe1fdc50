package kernels

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etc/executor/ptxsim"
)

// TestRetry: temporary. Tries on the new cases what the old ones left alive or did not execute.
func TestRetry(t *testing.T) {
	want := regexp.MustCompile(os.Getenv("RETRY"))
	if os.Getenv("RETRY") == "" {
		t.Skip()
	}
	old := map[string]int{}
	b, _ := os.ReadFile("/tmp/oldcases.txt")
	for l := range strings.Lines(string(b)) {
		old[strings.TrimSpace(l)]++
	}
	head := regexp.MustCompile(`^(kernel \S+ (\S+):) (\d+) mutants, (\d+) executed \((\d+) of synchronisation\), (\d+) killed`)
	eq, ks := readEquivalents(t), goldens()
	var entries []string
	for entry := range ks {
		if want.MatchString(entry) {
			entries = append(entries, entry)
		}
	}
	slices.Sort(entries)
	for _, entry := range entries {
		k := ks[entry]
		began := time.Now()
		records := readSurvivors(t)
		rec := records[entry]
		m := head.FindStringSubmatch(rec[0])
		ptx, _ := goldenPTX(entry)
		if m == nil || m[2] != digest(ptx)[:12] {
			t.Errorf("%s: older PTX", entry)
			continue
		}
		num := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
		tally := mutantTally{mutants: num(3), executed: num(4), synchronisation: num(5), killed: num(6)}
		alive := map[string]int{}
		for _, l := range rec[1:] {
			alive[strings.SplitN(l, " | ", 2)[1]]++
		}
		lines := strings.Split(string(ptx), "\n")
		module, _ := ptxsim.Parse(ptx)
		jOld, jNew := &jury{entry: entry, lines: lines}, &jury{entry: entry, lines: lines}
		count := map[string]int{}
		for _, s := range suites {
			for _, c := range s.cases() {
				if c.Kernel.Entry() == entry {
					count[c.Name]++
				}
			}
		}
		for _, s := range suites {
			for _, c := range s.cases() {
				if c.Kernel.Entry() != entry {
					continue
				}
				x := &trial{testCase: c, runs: map[int]bool{}}
				at := time.Now()
				if err := c.Run(module, ptxsim.Options{Steps: mutantSteps, Launched: x.watch}); err != nil {
					t.Fatal(c.Name, err)
				}
				x.takes = time.Since(at)
				if old[c.Name] > 0 {
					jOld.all = append(jOld.all, x)
				}
				if old[c.Name] != count[c.Name] {
					jNew.all = append(jNew.all, x)
				}
			}
		}
		var list []mutant
		was := map[int]bool{}
		for _, mu := range mutants(lines) {
			s := survivorOf(lines, mu)
			key := strings.SplitN(s.String(), " | ", 2)[1]
			if alive[key] > 0 {
				alive[key]--
				was[len(list)] = true
				list = append(list, mu)
				continue
			}
			if len(jOld.able(mu)) == 0 && len(jNew.able(mu)) > 0 {
				list = append(list, mu)
			}
		}
		f := newThreadFlow(string(ptx), k.Threads())
		var out []string
		fresh, dead := 0, 0
		for i, v := range jNew.tryAll(list, 2) {
			mu := list[i]
			if v == noPTX {
				continue
			}
			if v == unseen && was[i] {
				v = survives
			}
			if v == unseen {
				continue
			}
			if !was[i] {
				fresh++
				tally.executed++
				if mu.kind == synchronisation {
					tally.synchronisation++
				}
			}
			if v == killed {
				tally.killed++
				if was[i] {
					dead++
				}
				continue
			}
			s := survivorOf(lines, mu)
			if f.proves(mu) {
				s.reason = "proved"
			} else {
				s.reason = explain(eq, k, s)
			}
			if s.reason != "" {
				tally.equivalent++
			} else {
				t.Logf("   LIVE %v", s)
			}
			out = append(out, s.String())
		}
		if tally.executed != tally.killed+len(out) {
			t.Errorf("%s: %v but %d survivors", entry, tally, len(out))
		}
		records[entry] = append([]string{fmt.Sprintf("%s %v", m[1], tally)}, out...)
		writeSurvivors(t, records)
		t.Logf("%s: %v; %d of old cases, %d of new; %d newly executed, %d of %d dead, %.0f s", entry, tally, len(jOld.all), len(jNew.all), fresh, dead, len(was), time.Since(began).Seconds())
	}
}
