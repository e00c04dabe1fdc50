package ir

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"etc/ir/tensor"
)

// Verify reports the first invariant that g breaks at the given level:
//
//   - definitions precede uses, and every value is defined once, by its Def;
//   - operands are present unless optional, attributes have the type of the operator table;
//   - every result type is the one inferred from the operands;
//   - T and B stand only in dimension 0;
//   - a weight's data has its shape;
//   - every kind may stand at the level.
func Verify(g *Graph, level Level) error {
	seen := map[*Value]bool{}
	ids := map[int]bool{}
	for i, op := range g.Ops {
		if err := verifyOp(op, level, seen); err != nil {
			return fmt.Errorf("%s: operator %d (%v %q): %w", g.Name, i, op.Kind, op.Label, err)
		}
		for _, v := range op.Results {
			if v.Def != op || seen[v] || ids[v.ID] {
				return fmt.Errorf("%s: operator %d (%v): result %%%d is defined elsewhere too", g.Name, i, op.Kind, v.ID)
			}
			seen[v], ids[v.ID] = true, true
		}
	}
	names := map[string]bool{}
	for _, o := range g.Outputs {
		if !seen[o.Value] {
			return fmt.Errorf("%s: output %q is not defined in the graph", g.Name, o.Name)
		}
		if names[o.Name] {
			return fmt.Errorf("%s: output %q is given twice", g.Name, o.Name)
		}
		names[o.Name] = true
	}
	return nil
}

func verifyOp(op *Op, level Level, seen map[*Value]bool) error {
	if !op.Kind.Is(level) {
		return fmt.Errorf("does not belong to this level")
	}
	if err := checkOperands(op); err != nil {
		return err
	}
	for i, a := range op.Args {
		if a != nil && !seen[a] {
			return fmt.Errorf("operand %s: %%%d is used before it is defined", operandsOf(op.Kind)[i], a.ID)
		}
	}
	if len(op.Results) != table[op.Kind].results {
		return fmt.Errorf("%d results, want %d", len(op.Results), table[op.Kind].results)
	}
	for _, r := range op.Results {
		for i, d := range r.Type.Shape {
			if d < 0 && i > 0 {
				return fmt.Errorf("%v: %v stands in dimension %d", r.Type, d, i)
			}
		}
	}
	switch op.Kind {
	case Input:
		return verifyInput(op)
	case Weight:
		return verifyWeight(op)
	}
	types, err := inferTypes(op)
	if err != nil {
		return err
	}
	for i, t := range types {
		if !op.Results[i].Type.Equal(t) {
			return fmt.Errorf("result %d is %v, want %v", i, op.Results[i].Type, t)
		}
	}
	return nil
}

func verifyInput(op *Op) error {
	name, t := op.Attrs.(*InputAttrs).Name, op.Results[0].Type
	if strings.HasPrefix(name, "x") { // a test's own
		if t.DType != tensor.F32 || len(t.Shape) != 2 || t.Shape[0] != T && t.Shape[0] != B || t.Shape[1] < 0 {
			return fmt.Errorf("input %q is %v, want f32[T,width] or f32[B,width]", name, t)
		}
		return nil
	}
	if !slices.Contains(InputNames, name) {
		return fmt.Errorf("input %q: want one of %q, or a name that begins with x", name, InputNames)
	}
	want := I32(T)
	if name == "offsets" {
		want = I32(Ends)
	}
	if !t.Equal(want) {
		return fmt.Errorf("input %q is %v, want %v", name, t, want)
	}
	return nil
}

func verifyWeight(op *Op) error {
	data, t := op.Attrs.(*WeightAttrs).Data, op.Results[0].Type
	for _, d := range t.Shape {
		if d < 0 {
			return fmt.Errorf("weight is %v, want constants", t)
		}
	}
	if data.Data == nil {
		return nil
	}
	if got := weightType(data); !got.Equal(t) {
		return fmt.Errorf("weight is %v, its data %v", t, got)
	}
	if n, ok := tensor.Elements(data.Shape); !ok || n*data.DType.Size() != len(data.Data) {
		return fmt.Errorf("weight %v has %d bytes", t, len(data.Data))
	}
	return nil
}

// checkOperands checks number and presence of operands and the attribute type.
func checkOperands(op *Op) error {
	names := operandsOf(op.Kind)
	if len(op.Args) != len(names) {
		return fmt.Errorf("%v: %d operands, want %d", op.Kind, len(op.Args), len(names))
	}
	for i, n := range names {
		if op.Args[i] == nil && !strings.HasSuffix(n, "?") {
			return fmt.Errorf("%v: operand %s is absent", op.Kind, n)
		}
	}
	want := table[op.Kind].attrs
	if got := reflect.TypeOf(op.Attrs); want == nil && got != nil || want != nil && got != reflect.PointerTo(want) {
		return fmt.Errorf("%v: attributes are %v, want %v", op.Kind, got, want)
	}
	return nil
}
