package main

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/prune/latency"
)

// Bounds of how far a table may be from whole models measured beside each other.
const (
	denseLatencyError = 0.05 // of the dense model's time
	mixedLatencyError = 0.07 // of the ratio of a pruned one to it
)

// TestModelsLatencyTable measures a table of MiniLM and holds it to whole
// models: the dense one, and one with 8 of 12 heads and a quarter of the
// neurons, which the table does not hold. Other work on the machine can spoil
// a run, so the best of three counts.
func TestModelsLatencyTable(t *testing.T) {
	for _, model := range []string{"all-MiniLM-L6-v2", "minilm-sst2"} {
		t.Run(model, func(t *testing.T) {
			c, err := checkpoint.Open(filepath.Join(shared, "models", model))
			if err != nil {
				t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
			}
			defer c.Close()
			for range 3 {
				table, err := measureLatency(context.Background(), c, cpu.Target, kernel.Best(), nil)
				if err != nil {
					t.Fatal(err)
				}
				dense, mixed := latencyErrors(t, c, table)
				t.Logf("off by shape: dense %.3f, mixed %.3f", dense, mixed)
				if slices.Max(dense) <= denseLatencyError && slices.Max(mixed) <= mixedLatencyError {
					return
				}
			}
			t.Errorf("want within %v of the dense model and %v of the mixed one", denseLatencyError, mixedLatencyError)
		})
	}
}

// latencyErrors times the dense and a mixed model in turns and compares the
// table, by shape.
func latencyErrors(t *testing.T, c *checkpoint.Checkpoint, table *latency.Table) (dense, mixed []float64) {
	t.Helper()
	m, err := newLatencyMeasuring(context.Background(), c, cpu.Target, kernel.Best())
	if err != nil {
		t.Fatal(err)
	}
	m.changed = m.layers // the last one too
	level := denseLevel(table.Model)
	level.heads, level.width = 8, 384
	var models []*executor.Executor
	for _, l := range []latencyLevel{denseLevel(table.Model), level} {
		x, err := m.open(l, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		models = append(models, x)
	}
	whole := table.Dense(m.layers)
	attention, ffn := table.AttentionTime(level.heads, level.d, level.dv), table.FFNTime(level.width)
	lastAttention, lastFFN := table.LastAttention(attention), table.LastFFN(ffn)
	for shape := range m.ids {
		var times, ratios []float64
		for range 15 {
			us, err := m.round(models, shape)
			if err != nil {
				t.Fatal(err)
			}
			times, ratios = append(times, us[0]), append(ratios, us[1]/us[0])
		}
		predicted := table.Rest[shape] + float64(m.layers-1)*(attention[shape]+ffn[shape]) + lastAttention[shape] + lastFFN[shape]
		dense = append(dense, math.Abs(whole[shape]/middle(times)-1))
		mixed = append(mixed, math.Abs(predicted/whole[shape]/middle(ratios)-1))
	}
	return dense, mixed
}
