package kernels

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// huntCases: temporary.
func huntCases(k launch.Kernel) []testCase {
	var all []testCase
	r := rand.New(rand.NewPCG(1, 2))
	add := func(run func(m *ptxsim.Module, o ptxsim.Options) error) {
		all = append(all, testCase{Name: "hunt", Kernel: k, Run: run})
	}
	for _, e := range attentionTable {
		if e.kernel().Entry() != k.Entry() {
			continue
		}
		for _, n := range []int{1, 5, 15, 16, 17, 20, 31, 32, 40, 47, 48, 50, 60, 63, 64, 72, 80, 90, 96, 100, 112, 120, 127, 128, 140, 160, 192, 200, 240, 256} {
			if n > e.longest() && e.constants["MAXS"] > 0 || n > 200 && e.constants["MAXS"] == 0 {
				continue
			}
			for _, features := range []int{64, 60} {
				b := heads(2, 6, 2, n).beside().features(features, true)
				if n%3 == 0 {
					b = b.below()
				}
				full := batchFor(k, b)
				add(func(m *ptxsim.Module, o ptxsim.Options) error { _, err := runAttention(m, o, k, full); return err })
				if e.family != "vo_attention" {
					break
				}
			}
		}
	}
	switch k.Family {
	case "linear":
		t := launch.LinearTiles()
		_ = t
		for i := range 30 {
			s := linearShape{rows: 1 + r.IntN(k.Value("BM")*3/2), n: 1 + r.IntN(k.Value("BN")*3/2), k: 1 + r.IntN(k.Value("BK")*(k.Value("STAGES")+1)), bare: i%2 == 0}
			if i%3 == 0 {
				s.n = (s.n + 15) / 16 * 16
			}
			if i%4 == 0 {
				s.k = (s.k + 31) / 32 * 32
			}
			s.scaled, s.width, s.capacity = r.IntN(s.n+1), s.k+r.IntN(40), s.rows+r.IntN(300)
			add(func(m *ptxsim.Module, o ptxsim.Options) error { _, _, err := linearNumbers(k, s).run(m, o); return err })
		}
	case "block_sparse_linear", "sparse24_linear", "csr_linear":
		for i := range 24 {
			p := sparseProduct{kernel: k, t: 1 + r.IntN(70), n: 1 + r.IntN(140), k: 1 + r.IntN(200), keep: []float64{0.01, 0.1, 0.5, 0.9, 1}[i%5], bare: i%2 == 0}
			if i%3 == 0 {
				p.n = (p.n + 15) / 16 * 16
			}
			if i%4 == 0 {
				p.t, p.k = 1+r.IntN(4), 1+r.IntN(40*64)
				p.n = 16 * (1 + r.IntN(8))
				p.keep = []float64{0.002, 0.01, 0.1}[i%3]
			}
			if i%8 == 0 {
				p.k = (p.k + 63) / 64 * 64
			}
			p.scaled = r.IntN(p.n + 1)
			all = append(all, p.testCase())
		}
	}
	return all
}

// TestLive: temporary.
func TestLive(t *testing.T) {
	want, only, reason := regexp.MustCompile(os.Getenv("LIVE")), regexp.MustCompile(os.Getenv("ONLY")), regexp.MustCompile(os.Getenv("REASON"))
	state := os.Getenv("STATE")
	if state == "" {
		state = "live"
	}
	all := readSurvivors(t)
	eq := readEquivalents(t)
	for entry, k := range goldens() {
		if !want.MatchString(entry) {
			continue
		}
		ptx, _ := goldenPTX(entry)
		f := newThreadFlow(string(ptx), k.Threads())
		lines := map[string]bool{}
		for _, l := range all[entry][1:] {
			s := recorded(l)
			if strings.HasPrefix(l, state) && only.MatchString(l) && !f.proves(s.mutant) && reason.MatchString(explain(eq, k, s)) {
				lines[s.what] = true
			}
		}
		if len(lines) == 0 {
			continue
		}
		began := time.Now()
		var j *jury
		if os.Getenv("HUNT") != "" {
			j = &jury{entry: entry, lines: strings.Split(string(ptx), "\n")}
			m, _ := ptxsim.Parse(ptx)
			for _, c := range huntCases(k) {
				x := &trial{testCase: c, runs: map[int]bool{}}
				if err := c.Run(m, ptxsim.Options{Steps: mutantSteps, Launched: x.watch}); err != nil {
					t.Fatal(entry, err)
				}
				j.all = append(j.all, x)
			}
			if len(j.all) == 0 {
				continue
			}
		} else {
			j = newJury(t, k)
		}
		var list []mutant
		for _, m := range mutants(j.lines) {
			if lines[m.what] {
				list = append(list, m)
			}
		}
		n := 0
		for i, v := range j.tryAll(list, 2) {
			s := survivorOf(j.lines, list[i])
			if os.Getenv("HUNT") == "" || v == killed {
				t.Logf("%s: %v: %s [%s]", entry, v, s, explain(eq, k, s))
			}
			n++
		}
		t.Logf("%s: %d tried, %.0f s", entry, n, time.Since(began).Seconds())
	}
}
