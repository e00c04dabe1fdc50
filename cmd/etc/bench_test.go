package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"
)

// TestBenchTellsStartApart: loading, the first answer and the steady state are
// measured each by itself, and together take no longer than the whole.
func TestBenchTellsStartApart(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "p.etp")
	mustRun(t, "compile", tinyModel, "-o", plan, "--quiet")
	start := time.Now()
	out := mustRun(t, "bench", plan, "--json", "--quiet", "--batch", "1,3", "--seqlen", "8", "--seconds", "0.05")
	whole := ms(time.Since(start))
	var r benchRecord
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	parts := r.Start.LoadMs + r.Start.FirstMs
	if r.Start.LoadMs <= 0 || r.Start.FirstMs <= 0 || r.Start.PeakMB <= 0 || len(r.Results) != 2 {
		t.Fatalf("start %+v, %d cells", r.Start, len(r.Results))
	}
	for _, c := range r.Results {
		if c.Runs < 3 || c.Median <= 0 || c.Mean <= 0 || c.TokensPS <= 0 {
			t.Errorf("cell %+v", c)
		}
		parts += float64(c.Runs) * c.Mean
	}
	if parts > whole {
		t.Errorf("parts took %g ms, the whole %g", parts, whole)
	}
	for range 10 { // a first answer takes less than loading, unless others hold the machine
		if r.Start.FirstMs < r.Start.LoadMs {
			return
		}
		out = mustRun(t, "bench", plan, "--json", "--quiet", "--batch", "1", "--seqlen", "8", "--seconds", "0.01")
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("the first answer always takes longer than loading: %+v", r.Start)
}
