package cpu

import (
	"math"
	"testing"

	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// integerPlan is miniPlan with the product in integers, and right behind the
// embedding if adjacent is set.
func integerPlan(t *testing.T, target string, adjacent bool) *plan.Program {
	t.Helper()
	q := miniPlan(t)
	q.Target = target
	w, d := &q.Weights[1], plan.Elem(target)
	ones := tensor.Tensor{DType: tensor.F32, Shape: w.Shape, Data: q.Data[w.Offset : w.Offset+4*int64(w.Shape[0])]}.Float32s()
	packed := layout.PackIntPanels(layout.Int(d.Size()), ones, w.Shape[0], 1)
	w.Layout, w.DType, w.Size = plan.IntPanels, d, int64(len(packed))
	q.Data = append(append([]byte{}, q.Data[:w.Offset]...), packed...)
	_, q.Steps[2].Reduction = plan.Linear.Matrix(target)
	if adjacent {
		q.Steps[1], q.Steps[2] = q.Steps[2], q.Steps[1]
		q.Outputs[0].After, q.Outputs[1].After = 2, 1
	}
	if err := plan.Check(q.Plan); err != nil {
		t.Fatal(err)
	}
	return q
}

// TestFirstPhases: rows are turned into integers by the step before the product
// where that computes them row by row, else in a phase of their own; and only
// when the product runs. Results do not depend on it.
func TestFirstPhases(t *testing.T) {
	for _, target := range []string{"cpu:int16", "cpu:int8"} {
		for _, adjacent := range []bool{false, true} {
			d := newDevice(t, 2)
			if err := d.Load(integerPlan(t, target, adjacent), 8, 3); err != nil {
				t.Fatal(err)
			}
			if joined := d.steps[0].withNext != nil; joined != adjacent {
				t.Errorf("%s: phases joined %v, want %v", target, joined, adjacent)
			}
			for _, wanted := range []uint64{3, 1, 2, 3, 1} {
				b := miniBatch(70, 7, wanted)
				if err := d.Run(b); err != nil {
					t.Fatal(err)
				}
				if wanted&1 != 0 && b.Results[0][69] != 3 {
					t.Errorf("%s: the mean of a row is %v, want 3", target, b.Results[0][69])
				}
				if wanted&2 == 0 {
					continue
				}
				for i, y := range b.Results[1] {
					if want := float64(i / 1000 % 7); math.Abs(float64(y)-want) > 1e-5 {
						t.Fatalf("%s: token %d times one is %v, want %v", target, i/1000, y, want)
					}
				}
			}
		}
	}
}

// TestMemoryOfIntegersIsChecked: a row of integers and its unit for each token.
func TestMemoryOfIntegersIsChecked(t *testing.T) {
	p := integerPlan(t, "cpu:int16", true)
	const tokens, each = 1 << 20, 64 + 64 + 4 + 64 + 4
	enough := int64(reserve+len(p.Data)) + tokens*each
	for free, ok := range map[int64]bool{enough: true, enough - 1: false} {
		d := newDevice(t, 1)
		d.available = func() int64 { return free }
		if err := d.Load(p, tokens, 1); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Memory {
			t.Errorf("%d bytes free, %d wanted: %v", free, enough, err)
		}
	}
}
