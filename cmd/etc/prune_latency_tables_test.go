package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
)

// tablesVariable says what make latency-tables measures: models in ../shared
// by name and other folders, with colons between. tableFolder is where tables go.
const (
	tablesVariable = "ETC_LATENCY_TABLES"
	tableFolder    = "../../prune/latency/tables"
)

// tableTargets are what tables are shipped for, at tableLevel.
var tableTargets = []string{"cpu:f32", "cpu:int16", "cpu:int8"}

const tableLevel = kernel.AVX2

// TestLatencyTables writes the shipped tables: the work of make latency-tables.
func TestLatencyTables(t *testing.T) {
	list := os.Getenv(tablesVariable)
	if list == "" {
		t.Skip(tablesVariable + " names no model")
	}
	for _, model := range filepath.SplitList(list) {
		if !strings.ContainsRune(model, filepath.Separator) {
			model = filepath.Join(shared, "models", model)
		}
		c, err := checkpoint.Open(model)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range tableTargets {
			start := time.Now()
			table, err := measureLatency(context.Background(), c, target, tableLevel, nil)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ReplaceAll(target, ":", "-") + "-" + table.Level + "-" + filepath.Base(model) + ".json"
			if err := os.WriteFile(filepath.Join(tableFolder, name), table.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %.0f s", name, time.Since(start).Seconds())
		}
		c.Close()
	}
}
