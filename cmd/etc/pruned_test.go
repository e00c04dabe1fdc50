package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/prune"
)

// prunedCopy is c with the given share of zeros, nil where the method cannot
// reach it.
func prunedCopy(t *testing.T, c *checkpoint.Checkpoint, m prune.Method, sparsity float64) *checkpoint.Checkpoint {
	t.Helper()
	imported, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = prune.Fixed(imported.Graph, &prune.Statistics{}, m, sparsity, nil)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Unreachable {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	changed, err := frontend.WriteBack(imported.Graph, c)
	if err != nil {
		t.Fatal(err)
	}
	return c.With(changed)
}

// logitsOf are the logits of rows and the multiply-adds they took.
func logitsOf(t *testing.T, p *plan.Program, list []*rows.Row) (logits [][]float32, multiplyAdds int64) {
	t.Helper()
	x := newExecutor(t, p, kernel.Best(), 2, executor.Options{})
	err := x.Run(context.Background(), executor.List(list), func(r *executor.Result) error {
		logits = append(logits, append([]float32(nil), r.Logits...))
		return r.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	return logits, x.Device().Counters().MultiplyAdds
}

// TestPrunedPlans: whatever unit 30 to 50 % of the weights go by, the answers
// are those of the zeroed checkpoint run dense, the plan is smaller, and it
// takes fewer operations.
func TestPrunedPlans(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join("..", "..", "testdata", "tiny-sst2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list := sentences(t)[:64]
	for _, m := range prune.Methods() {
		for _, sparsity := range []float64{0.3, 0.4, 0.5} {
			t.Run(fmt.Sprintf("%s %v", m.Name, sparsity), func(t *testing.T) {
				pruned := prunedCopy(t, c, m, sparsity)
				if pruned == nil { // of heads and widths alone: attention is a third of the weights
					pruned = prunedCopy(t, c, m, sparsity/3)
				}
				if pruned == nil {
					t.Fatal("the method reaches not even a third of it")
				}
				dense := compilePlan(t, pruned, compiler.Options{Targets: []string{cpu.Target}, Dense: true})
				sparse := compilePlan(t, pruned, compiler.Options{Targets: []string{cpu.Target}})
				want, denseOps := logitsOf(t, dense, list)
				got, sparseOps := logitsOf(t, sparse, list)
				for i, row := range want {
					for j, w := range row {
						if e := math.Abs(float64(got[i][j] - w)); !(e <= 1e-4) {
							t.Fatalf("row %d: logit %d is %v, dense %v", i, j, got[i][j], w)
						}
					}
				}
				size, ops := float64(len(sparse.Data))/float64(len(dense.Data)), float64(sparseOps)/float64(denseOps)
				t.Logf("%.3f of the bytes, %.3f of the multiply-adds", size, ops)
				if size >= 1 || ops >= 1 {
					t.Errorf("plan has %.4f of the dense bytes and %.4f of the multiply-adds", size, ops)
				}
			})
		}
	}
}

func compilePlan(t testing.TB, c *checkpoint.Checkpoint, o compiler.Options) *plan.Program {
	t.Helper()
	r, err := compiler.Compile(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Plan.Programs[0]
}
