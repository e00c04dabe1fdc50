// Package schedule orders the operators of a lowered graph and gives each
// value its place in the arena.
//
// A lowered graph enters; the order, the buffers and what each output needs
// leave. Two values that are live at once never share a byte. Places are
// counted in bytes a token (or a row), so one table serves every batch.
package schedule

import (
	"slices"

	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// A Schedule is the order of execution. Sources, inputs and weights, are no
// steps and have no place.
type Schedule struct {
	Ops     []*ir.Op
	Needed  []uint64          // for each operator, bit i: output i of the graph needs it
	Place   map[*ir.Value]int // index into Buffers; a value that nothing reads has none
	Buffers []plan.Buffer
	After   []int // for each output, the index in Ops of the operator that defines it
	storage Storage
}

// A Storage says in which type each value is kept.
type Storage func(*ir.Value) tensor.DType

// Make schedules g, in the order of its operators, with all values in float32.
func Make(g *ir.Graph) *Schedule {
	return MakeStored(g, func(*ir.Value) tensor.DType { return tensor.F32 })
}

// MakeStored is Make for values that are kept in other types.
func MakeStored(g *ir.Graph, storage Storage) *Schedule {
	s := &Schedule{Place: map[*ir.Value]int{}, storage: storage}
	index := map[*ir.Op]int{}
	for _, op := range g.Ops {
		if op.Kind != ir.Input && op.Kind != ir.Weight {
			index[op] = len(s.Ops)
			s.Ops = append(s.Ops, op)
		}
	}
	s.need(g, index)
	s.place(s.intervals(g, index))
	return s
}

// need marks, for every output, the operators it depends on.
func (s *Schedule) need(g *ir.Graph, index map[*ir.Op]int) {
	s.Needed = make([]uint64, len(s.Ops))
	for i, o := range g.Outputs {
		at := index[o.Value.Def]
		s.After = append(s.After, at)
		s.Needed[at] |= 1 << i
	}
	for i := len(s.Ops) - 1; i >= 0; i-- {
		for _, a := range s.Ops[i].Args {
			if a != nil {
				if at, ok := index[a.Def]; ok {
					s.Needed[at] |= s.Needed[i]
				}
			}
		}
	}
}

// An interval is the life of one value: from the operator that defines it to
// the last that reads it, both included, so that no operator writes over
// what it reads.
type interval struct {
	value       *ir.Value
	first, last int
	always      bool // an output that is always computed needs it
}

func (s *Schedule) intervals(g *ir.Graph, index map[*ir.Op]int) []interval {
	last := map[*ir.Value]int{}
	for i, op := range s.Ops {
		for _, a := range op.Args {
			if a != nil && a.Def.Kind != ir.Input && a.Def.Kind != ir.Weight {
				last[a] = i
			}
		}
	}
	var always uint64
	for i, o := range g.Outputs {
		if o.When == ir.Always {
			always |= 1 << i
		}
		if o.When == ir.Tap {
			last[o.Value] = max(last[o.Value], index[o.Value.Def])
		} else {
			last[o.Value] = len(s.Ops)
		}
	}
	var lives []interval
	for i, op := range s.Ops {
		for _, r := range op.Results {
			if end, ok := last[r]; ok {
				lives = append(lives, interval{r, i, end, s.Needed[i]&always != 0})
			}
		}
	}
	return lives
}

// align is the alignment of buffers and of their rows, one cache line.
const align = 64

// place gives every interval the lowest offset at which it meets no interval
// placed before that lives at the same time; wide ones first, those that only
// an output on demand needs after all others, so that these cost nothing
// where they are not asked for.
func (s *Schedule) place(lives []interval) {
	order := slices.Clone(lives)
	slices.SortStableFunc(order, func(a, b interval) int {
		if a.always != b.always {
			if a.always {
				return -1
			}
			return 1
		}
		return s.stride(b.value) - s.stride(a.value)
	})
	type placed struct {
		interval
		offset int
	}
	var done []placed
	offsets := map[*ir.Value]int{}
	for _, in := range order {
		offset := 0
		for _, p := range done { // ascending by offset
			apart := p.last < in.first || in.last < p.first || rowsOf(p.value) != rowsOf(in.value)
			if !apart && p.offset < offset+s.stride(in.value) {
				offset = max(offset, p.offset+s.stride(p.value))
			}
		}
		at, _ := slices.BinarySearchFunc(done, offset, func(p placed, o int) int { return p.offset - o })
		done = slices.Insert(done, at, placed{in, offset})
		offsets[in.value] = offset
	}
	for _, in := range lives {
		s.Place[in.value] = len(s.Buffers)
		s.Buffers = append(s.Buffers, plan.Buffer{
			Rows: rowsOf(in.value), DType: s.storage(in.value), Width: width(in.value), Stride: s.stride(in.value), Offset: offsets[in.value],
		})
	}
}

func rowsOf(v *ir.Value) plan.Rows {
	if v.Type.Rows() == ir.B {
		return plan.PerRow
	}
	return plan.PerToken
}

// width is the number of elements in a row; a list such as f32[T] has one.
func width(v *ir.Value) int {
	if len(v.Type.Shape) == 1 {
		return 1
	}
	return v.Type.Width()
}

// stride is the bytes of a row, whole cache lines.
func (s *Schedule) stride(v *ir.Value) int {
	return (s.storage(v).Size()*width(v) + align - 1) / align * align
}
