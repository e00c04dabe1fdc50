//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/pass"
)

// writePlan puts a plan into a file of its own and opens that.
func writePlan(t *testing.T, p *plan.Plan) (*plan.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.etp")
	if err := os.WriteFile(path, plan.Encode(p), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := plan.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// TestPlanShrinks: a plan file cut while it is loaded or runs is refused, on
// whichever thread it is noticed, and the program goes on.
func TestPlanShrinks(t *testing.T) {
	p := tinyPlan(t)
	list := sentences(t)[:40]
	for threads := 1; threads <= 3; threads++ {
		for _, loaded := range []bool{false, true} {
			file, path := writePlan(t, p)
			d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			cut := func() {
				if err := os.Truncate(path, 4096); err != nil {
					t.Fatal(err)
				}
			}
			if !loaded {
				cut()
			}
			x, err := executor.New(file.Plan, d, executor.Options{Tokenizers: 2})
			if loaded {
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				err = x.Run(context.Background(), executor.List(list), func(*executor.Result) error { n++; return nil })
				if err != nil || n != len(list) {
					t.Fatalf("whole: %d rows, %v", n, err)
				}
				cut()
				for range 3 {
					err = x.Run(context.Background(), executor.List(list), func(*executor.Result) error { return nil })
				}
			}
			if fault.KindOf(err) != fault.Corrupt {
				t.Errorf("%d threads, loaded %v: error %v, want a corrupt fault", threads, loaded, err)
			}
		}
	}
}

// TestCheckpointShrinks while it is compiled.
func TestCheckpointShrinks(t *testing.T) {
	dir := frontendtest.Random(t, rand.New(rand.NewPCG(1, 1)), "BertModel",
		frontendtest.Options{Layers: 2, Heads: 4, HeadSize: 32, Inner: 512})
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cut := func(pass.Report, *ir.Graph) {
		if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 4096); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := compiler.Compile(c, compiler.Options{Target: cpu.Target, Observe: cut}); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("error %v, want a corrupt fault", err)
	}
}
