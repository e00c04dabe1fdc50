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
	"etc/formats/rows"
	"etc/ir"
	"etc/ir/pass"
)

// writePlan puts a plan into a file of its own and opens that.
func writePlan(t *testing.T, p *plan.Program) (*plan.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.etp")
	if err := os.WriteFile(path, plan.Encode(p.Plan), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := plan.Open(path, plan.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// TestPlanShrinks: a plan file cut while it is loaded or runs is refused, on
// whichever thread it is noticed, and the program goes on. It is noticed first
// in the tokenizer or, where there is none, in the weights.
func TestPlanShrinks(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	c := randomCheckpoint(t, rng, "BertForSequenceClassification", frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 27, Inner: 331})
	tiny, odd := tinyPlan(t), compilePlan(t, c, compiler.Options{Targets: []string{cpu.Target}})
	ids, _ := randomRow(rng, &odd.Model, 50)
	for threads := 1; threads <= 3; threads++ {
		checkShrinks(t, tiny, threads, sentences(t)[:40])
		checkShrinks(t, odd, threads, []*rows.Row{{IDs: ids}, {IDs: ids[:3]}})
	}
}

func checkShrinks(t *testing.T, p *plan.Program, threads int, list []*rows.Row) {
	t.Helper()
	for _, loaded := range []bool{false, true} {
		file, path := writePlan(t, p)
		d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if !loaded {
			cutFile(t, path)
			_, err := executor.New(file.Plan.Programs[0], d, executor.Options{})
			checkCut(t, err)
			continue
		}
		x, err := executor.New(file.Plan.Programs[0], d, executor.Options{Tokenizers: 2})
		if err != nil {
			t.Fatal(err)
		}
		run := func() error {
			return x.Run(context.Background(), executor.List(list), func(r *executor.Result) error { return r.Err })
		}
		if err := run(); err != nil {
			t.Fatal(err)
		}
		cutFile(t, path)
		for range 3 {
			checkCut(t, run())
		}
	}
}

// cutFile leaves the first page.
func cutFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
}

func checkCut(t *testing.T, err error) {
	t.Helper()
	if fault.KindOf(err) != fault.Corrupt {
		t.Errorf("error %v, want a corrupt fault", err)
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
	cut := func(pass.Report, *ir.Graph) { cutFile(t, filepath.Join(dir, "model.safetensors")) }
	_, err = compiler.Compile(c, compiler.Options{Targets: []string{cpu.Target}, Observe: cut})
	checkCut(t, err)
}
