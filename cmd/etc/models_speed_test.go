package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// minHalfSpeedup is what half of the feed-forward neurons must bring at 8×128.
// They are a third of the layers' products, so the limit is 1.5.
const minHalfSpeedup = 1.25

// TestModelsHalfTheNeuronsIsFaster prunes half of the neurons of MiniLM and
// measures dense and pruned in turns. Other work on the machine can spoil a
// run, so the best of three counts.
func TestModelsHalfTheNeuronsIsFaster(t *testing.T) {
	dir := t.TempDir()
	model, half := filepath.Join(shared, "models", "minilm-sst2"), filepath.Join(dir, "half")
	dense, pruned := filepath.Join(dir, "dense.etp"), filepath.Join(dir, "half.etp")
	mustRun(t, "prune", model, "-o", half, "--method", "neurons", "--sparsity", "0.333", "--calib", "../../testdata/sst2-dev.tsv", "--quiet")
	mustRun(t, "compile", model, "-o", dense, "--quiet")
	mustRun(t, "compile", half, "-o", pruned, "--quiet")
	best := 0.0
	for range 3 {
		out := mustRun(t, "bench", pruned, "--baseline", dense, "--max-regress", "1000%", "--batch", "8", "--seqlen", "128", "--json", "--quiet")
		var record struct{ Results []struct{ Speedup float64 } }
		if err := json.Unmarshal([]byte(out), &record); err != nil {
			t.Fatal(err)
		}
		if best = max(best, record.Results[0].Speedup); best >= minHalfSpeedup {
			return
		}
	}
	t.Errorf("pruned is %.2f times as fast as dense, want %.2f", best, minHalfSpeedup)
}
