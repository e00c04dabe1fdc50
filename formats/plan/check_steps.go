package plan

import (
	"fmt"
	"slices"

	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// buffers have rows that fit their stride, at places that fit the arena.
func (c *programChecker) buffers() error {
	for i, b := range c.program.Buffers {
		switch {
		case b.Rows != PerToken && b.Rows != PerRow:
			return refuse("buffer %d has %v, want T or B", i, b.Rows)
		case b.DType != tensor.F32 && b.DType != c.target.activations():
			return refuse("buffer %d is of %v, want f32 or %v", i, b.DType, c.target.activations())
		case !within(b.Width, 0, maxDim):
			return refuse("buffer %d is %d wide, want 0 to %d", i, b.Width, maxDim)
		case b.Stride%layout.Align != 0 || !within(b.Stride, b.Width*b.DType.Size(), maxArena):
			return refuse("buffer %d, %d wide, has a stride of %d bytes, want a multiple of %d that holds it", i, b.Width, b.Stride, layout.Align)
		case b.Offset%layout.Align != 0 || !within(b.Offset, 0, maxArena-b.Stride):
			return refuse("buffer %d has offset %d, want a multiple of %d from 0 to %d", i, b.Offset, layout.Align, maxArena-b.Stride)
		}
	}
	return nil
}

// steps have the operands, parameters and results of their operators, and
// read only what an earlier one has written.
func (c *programChecker) steps() error {
	c.definedBy = slices.Repeat([]int{-1}, len(c.program.Buffers))
	c.lastRead = make([]int, len(c.program.Buffers))
	for i := range c.program.Steps {
		if err := c.step(i); err != nil {
			s := &c.program.Steps[i]
			return refuse("step %d (%v %q): %w", i, s.Op, s.Label, err)
		}
	}
	if i := slices.Index(c.definedBy, -1); i >= 0 {
		return refuse("buffer %d is the result of no step", i)
	}
	return nil
}

func (c *programChecker) step(i int) error {
	s := &c.program.Steps[i]
	info := s.Op.info()
	if info == nil {
		return fmt.Errorf("not known")
	}
	if len(s.Args) != len(info.operands) {
		return fmt.Errorf("%d operands, want %d", len(s.Args), len(info.operands))
	}
	for j, o := range info.operands {
		if err := c.operand(i, s.Args[j], o, info.form); err != nil {
			return fmt.Errorf("operand %s: %w", o.name, err)
		}
	}
	if err := checkParams(s.Params, info.params); err != nil {
		return err
	}
	if err := c.reduction(s.Reduction, info); err != nil {
		return err
	}
	v := &stepView{programChecker: c, Step: s, info: info}
	shapes := info.results(v)
	if v.err != nil {
		return v.err
	}
	return c.results(i, shapes)
}

// operand checks that a may stand at the place of o in step i.
func (c *programChecker) operand(i int, a Arg, o operand, f *form) error {
	if a.Kind == None && o.optional {
		return unindexed(a)
	}
	if a.Kind != argKinds[o.kind] {
		return fmt.Errorf("is %v, want %v", a.Kind, argKinds[o.kind])
	}
	switch a.Kind {
	case FromBuffer:
		if !within(a.Index, 0, len(c.program.Buffers)-1) {
			return fmt.Errorf("buffer %d of %d", a.Index, len(c.program.Buffers))
		}
		if c.definedBy[a.Index] < 0 {
			return fmt.Errorf("buffer %d is read before a step writes it", a.Index)
		}
		c.lastRead[a.Index] = i
		return nil
	case FromWeight:
		if !within(a.Index, 0, len(c.plan.Weights)-1) {
			return fmt.Errorf("weight %d of %d", a.Index, len(c.plan.Weights))
		}
		return c.target.weightFor(o.kind, &c.plan.Weights[a.Index], f)
	}
	return unindexed(a)
}

func unindexed(a Arg) error {
	if a.Index != 0 {
		return fmt.Errorf("is %v with index %d, want 0", a.Kind, a.Index)
	}
	return nil
}

// weightFor checks dtype, layout and number of dimensions of w.
func (t *target) weightFor(kind operandKind, w *Weight, f *form) error {
	want, dims := Weight{Layout: RowMajor, DType: tensor.F32}, 1
	switch kind {
	case matrix:
		want.Layout, want.DType = f.matrix(t)
		dims = 2
	case table:
		want.Layout, want.DType = t.table()
		dims = 2
	case distances:
		dims = 2
	case columns:
		want.DType = tensor.I32
	}
	if w.Layout != want.Layout || w.DType != want.DType || len(w.Shape) != dims {
		return fmt.Errorf("weight %q is %v%v %v, want %v %v of %d dimensions", w.Name, w.DType, w.Shape, w.Layout, want.DType, want.Layout, dims)
	}
	return nil
}

// reduction checks r against what the operator has on the program's target.
func (c *programChecker) reduction(r Reduction, info *opInfo) error {
	if want := info.form.reduction(c.target); r != want {
		return fmt.Errorf("reduction signature %+v, want %+v", r, want)
	}
	return nil
}

// results checks that step i writes results of the derived shapes, each to a
// buffer that no other step writes.
func (c *programChecker) results(i int, shapes []shape) error {
	s := &c.program.Steps[i]
	if len(s.Results) != len(shapes) {
		return fmt.Errorf("%d results, want %d", len(s.Results), len(shapes))
	}
	used := 0
	for j, r := range s.Results {
		if r == Unused {
			continue
		}
		used++
		if !within(r, 0, len(c.program.Buffers)-1) {
			return fmt.Errorf("result %d: buffer %d of %d", j, r, len(c.program.Buffers))
		}
		b := c.program.Buffers[r]
		if got := (shape{b.Rows, b.Width}); got != shapes[j] {
			return fmt.Errorf("result %d: buffer %d is %v, want %v", j, r, got, shapes[j])
		}
		if c.definedBy[r] >= 0 {
			return fmt.Errorf("result %d: buffer %d is that of step %d too", j, r, c.definedBy[r])
		}
		c.definedBy[r], c.lastRead[r] = i, i
	}
	if used == 0 {
		return fmt.Errorf("no result is used")
	}
	return nil
}
