package cpu

import (
	"unsafe"

	"etc/executor/cpu/kernel"
	"etc/formats/plan"
)

// An integerInput turns the rows that go into a product into integers. That is
// a phase before the product, whose tasks share rows.
type integerInput struct {
	rows    kernel.Quantised
	scratch int // values of a row whose columns are gathered
	before  phase
}

// phase is nil for a product in float32.
func (in *integerInput) phase() *phase {
	if in == nil {
		return nil
	}
	return &in.before
}

// bindIntegers binds the rows, of which only some columns may go in, to a
// lane's memory for integers: one product at a time has it.
func (d *Device) bindIntegers(s *plan.Step, w *kernel.IntWeight, columns []int32) *integerInput {
	in := &integerInput{rows: kernel.Quantised{Type: w.Type, Stride: d.table.RowBytes(w.Type, w.K)}}
	if columns != nil {
		in.scratch = w.K
	}
	x := s.Args[linearX].Index
	widest := &d.intBytes[d.program.Buffers[x].Rows-plan.PerToken]
	*widest = max(*widest, in.rows.Stride)
	in.before = d.byRows(x, func(g *group, worker, from, to int) {
		x, q := d.input(g, s, linearX), in.of(g)
		for r := from; r < to; r++ {
			row := x.Row(r)
			if columns != nil {
				row = d.scratch[worker][:w.K]
				gather(row, x, columns, r, r+1)
			}
			d.table.Quantise(&q, r, row)
		}
	})
	return in
}

// of is the rows in the lane of g.
func (in *integerInput) of(g *group) kernel.Quantised {
	q := in.rows
	q.Data, q.Units = g.ints.Data, g.ints.Units
	return q
}

func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), elementBytes*len(v))
}
