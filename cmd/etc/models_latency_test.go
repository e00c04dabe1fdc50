package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
)

// Bounds of how far a table may be from whole models timed among its levels.
const (
	denseLatencyError = 0.05 // of the sum of sublayers, before it is fitted to the dense model
	mixedLatencyError = 0.07 // of a pruned one's
)

// TestLatencyTableOfModels measures a table of MiniLM and holds it to whole
// models: the dense one, and one with 8 of 12 heads and a quarter of the
// neurons, which the table does not hold. Other work on the machine can spoil
// a run, so the best of three counts.
func TestLatencyTableOfModels(t *testing.T) {
	if os.Getenv("ETC_LATENCY_CHECK") == "" {
		t.Skip("wants a machine of its own: ETC_LATENCY_CHECK=1")
	}
	for _, model := range []string{"all-MiniLM-L6-v2", "minilm-sst2"} {
		t.Run(model, func(t *testing.T) {
			c, err := checkpoint.Open(filepath.Join(shared, "models", model))
			if err != nil {
				t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
			}
			defer c.Close()
			for range 3 {
				dense, mixed := latencyErrors(t, c)
				t.Logf("off by shape: dense %.3f, mixed %.3f", dense, mixed)
				if slices.Max(dense) <= denseLatencyError && slices.Max(mixed) <= mixedLatencyError {
					return
				}
			}
			t.Errorf("want within %v of the dense model and %v of the mixed one", denseLatencyError, mixedLatencyError)
		})
	}
}

// latencyErrors measures a table and a mixed level among its own, and compares,
// by shape.
func latencyErrors(t *testing.T, c *checkpoint.Checkpoint) (dense, mixed []float64) {
	t.Helper()
	m, err := newLatencyMeasuring(context.Background(), c, cpu.Target, kernel.Best())
	if err != nil {
		t.Fatal(err)
	}
	full := denseLevel(m.table.Model)
	level := full
	level.heads, level.width = 8, 384
	if err := m.measure(level); err != nil {
		t.Fatal(err)
	}
	whole := m.table.Dense(m.layers)
	attention, ffn := m.table.AttentionTime(level.heads, level.d, level.dv), m.table.FFNTime(level.width)
	fullAttention, fullFFN := m.table.AttentionTime(full.heads, full.d, full.dv), m.table.FFNTime(full.width)
	for i := range m.ids {
		saved := float64(m.changed) * (fullAttention[i] + fullFFN[i] - attention[i] - ffn[i])
		t.Logf("%+v: dense %.0f µs, table before its fit %.0f; mixed %.0f µs, table %.0f", m.table.Shapes[i], m.micros[full][i], whole[i]/m.fit[i], m.micros[level][i], whole[i]-saved)
		dense = append(dense, math.Abs(1/m.fit[i]-1))
		mixed = append(mixed, math.Abs((whole[i]-saved)/m.micros[level][i]-1))
	}
	return dense, mixed
}
