package main

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/formats/checkpoint"
	"etc/ir/tensor"
)

// TestSavedSmallElsewhere: a model that somebody else pruned and saved small
// goes through the whole program: its plan has the heads and neurons that are
// left and its meaning, and it can be pruned further under its own shapes.
func TestSavedSmallElsewhere(t *testing.T) {
	for _, class := range frontendtest.Classes {
		t.Run(class, func(t *testing.T) {
			model := savedSmall(t, class)
			mustRun(t, "inspect", model)
			plan := compileVerified(t, model)
			shown := mustRun(t, "inspect", plan)
			for _, left := range []string{"2 heads, d 8, dv 8", "1 heads, d 8, dv 8"} {
				if !strings.Contains(shown, left) {
					t.Errorf("inspect does not show %q:\n%s", left, shown)
				}
			}
			pruned := filepath.Join(t.TempDir(), "pruned")
			mustRun(t, "prune", model, "-o", pruned, "--sparsity", "0.1", "--quiet")
			before, after := weightsIn(t, model, "model.safetensors"), weightsIn(t, pruned, "model.safetensors")
			for _, name := range before.Names() {
				if was, is := tensorNamed(t, before, name), tensorNamed(t, after, name); !slices.Equal(was.Shape, is.Shape) {
					t.Errorf("%s is %v, was %v", name, is.Shape, was.Shape)
				}
			}
			compileVerified(t, pruned)
		})
	}
}

// savedSmall is a checkpoint of three layers, of which the first lost a head
// and six neurons, the next two heads, and the last all that is inside.
func savedSmall(t *testing.T, class string) string {
	t.Helper()
	o := frontendtest.Options{Layers: 3, Heads: 3, HeadSize: 8, Inner: 40}
	dir := frontendtest.Random(t, rand.New(rand.NewPCG(9, 0)), class, o)
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tensors := map[string]tensor.Tensor{}
	for _, name := range c.Names() {
		tensors[name], _ = c.Tensor(name)
	}
	layers := frontendtest.Layers(class, tensors)
	layers[0].Narrow(fromTo(8, 16), fromTo(0, 6))
	layers[1].Narrow(fromTo(8, 24), nil)
	layers[2].Narrow(fromTo(0, 24), fromTo(0, 40))
	frontendtest.WriteTensors(t, dir, tensors)
	return dir
}

// fromTo is from, from+1, …, to-1.
func fromTo(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// compileVerified compiles a model and holds the plan against the float64
// meaning of it, after every layer.
func compileVerified(t *testing.T, model string) (plan string) {
	t.Helper()
	plan = filepath.Join(t.TempDir(), "plan.etp")
	mustRun(t, "compile", model, "-o", plan, "--quiet")
	mustRun(t, "verify", plan, "--reference", model, "--layers")
	return plan
}
