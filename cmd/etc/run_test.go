package main

import (
	"testing"
	"time"

	"etc/executor"
)

// TestSummary of a run: real tokens against computed ones, and the parts' times
// under their own names.
func TestSummary(t *testing.T) {
	tally := &tally{rows: 4, tokens: 90}
	got := tally.summary(executor.Counters{Batches: 2, Tokens: 120}, executor.Times{Tokenise: 10 * time.Millisecond, Compute: 2 * time.Second, Write: 30 * time.Millisecond})
	const want = "4 rows in 2 batches, 90 real / 120 computed tokens (75.0 %); tokenised in 0.010 s of one thread, computed in 2.000 s, written in 0.030 s, side by side"
	if got != want {
		t.Errorf("summary\n%s\nwant\n%s", got, want)
	}
}
