package interp

import (
	"fmt"
	"slices"

	"etc/fault"
	"etc/ir"
)

// check reports offsets that do not cut [0, T) into rows of at least a token.
func (in *Inputs) check() error {
	if len(in.Offsets) == 0 || in.Offsets[0] != 0 {
		return fault.Newf(fault.Corrupt, "offsets %v: want numbers that begin with 0", in.Offsets)
	}
	for b := range len(in.Offsets) - 1 {
		if in.Offsets[b+1] <= in.Offsets[b] {
			return fault.Newf(fault.Corrupt, "row %d has no tokens", b)
		}
	}
	return nil
}

// named returns the batch's array for an input operator.
func (in *Inputs) named(op *ir.Op) (*Array, error) {
	rows := map[ir.Dim]int{ir.T: in.Offsets[len(in.Offsets)-1], ir.B: len(in.Offsets) - 1, ir.Ends: len(in.Offsets)}
	name, t := op.Attrs.(*ir.InputAttrs).Name, op.Result().Type
	shape := []int{rows[t.Rows()]}
	lists := map[string][]int{"ids": in.IDs, "types": in.Types, "positions": in.Positions, "offsets": in.Offsets}
	if list, ok := lists[name]; ok {
		if len(list) != shape[0] {
			return nil, fault.Newf(fault.Corrupt, "input %q has %d numbers, want %d", name, len(list), shape[0])
		}
		return &Array{Shape: shape, I: list}, nil
	}
	a, ok := in.Extra[name]
	if !ok {
		return nil, fmt.Errorf("input %q is not given", name)
	}
	shape = append(shape, t.Width())
	if !slices.Equal(a.Shape, shape) || len(a.F) != shape[0]*shape[1] {
		return nil, fmt.Errorf("input %q is %v of %d elements, want %v", name, a.Shape, len(a.F), shape)
	}
	return a, nil
}
