package codegen

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// TestEveryKernelOperatorHasAStep, under its own name.
func TestEveryKernelOperatorHasAStep(t *testing.T) {
	for _, k := range ir.Kinds() {
		op, ok := Op(k)
		if want := k.Is(ir.Kernel) && k != ir.Input && k != ir.Weight; ok != want {
			t.Errorf("%v has a step: %v, want %v", k, ok, want)
		} else if ok && op.String() != k.String() {
			t.Errorf("%v is step %v", k, op)
		} else if ok {
			for i, name := range op.Operands() {
				if name = strings.TrimSuffix(name, "?"); name != ir.OperandName(k, i) {
					t.Errorf("%v: operand %d is %q, the step's is %q", k, i, ir.OperandName(k, i), name)
				}
			}
		}
	}
}

// TestPackerKeepsEachWeightOnce: what differs in anything is another weight.
func TestPackerKeepsEachWeightOnce(t *testing.T) {
	var p Packer
	a, b := []byte{1, 2, 3, 4}, []byte{1, 2, 3, 5}
	for i, w := range []struct {
		name  string
		l     plan.Layout
		d     tensor.DType
		shape []int
		b     []byte
		want  int
	}{
		{"a", plan.RowMajor, tensor.F32, []int{1}, a, 0},
		{"a", plan.RowMajor, tensor.F32, []int{1}, bytes.Clone(a), 0},
		{"b", plan.RowMajor, tensor.F32, []int{1}, a, 1},
		{"a", plan.RowMajor, tensor.I32, []int{1}, a, 2},
		{"a", plan.RowMajor, tensor.F32, []int{1, 1}, a, 3},
		{"a", plan.Panels, tensor.F32, []int{1}, a, 4},
		{"a", plan.RowMajor, tensor.F32, []int{1}, b, 5},
		{"b", plan.RowMajor, tensor.F32, []int{1}, a, 1},
	} {
		if got := p.Add(w.name, w.l, w.d, w.shape, w.b); got != w.want {
			t.Errorf("weight %d is number %d, want %d", i, got, w.want)
		}
	}
	var to plan.Plan
	p.Finish(&to)
	if len(to.Weights) != 6 || len(to.Data) != 6*64 {
		t.Fatalf("%d weights in %d bytes", len(to.Weights), len(to.Data))
	}
	for i, w := range to.Weights {
		want := a
		if i == 5 {
			want = b
		}
		if w.Offset != int64(64*i) || !slices.Equal(to.Data[w.Offset:w.Offset+w.Size], want) {
			t.Errorf("weight %d at %d is %v", i, w.Offset, to.Data[w.Offset:w.Offset+w.Size])
		}
	}
}
