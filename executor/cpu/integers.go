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

// bindIntegers binds the rows, of which only some columns may go in, to the
// device's memory for integers: one product at a time has it.
func (d *Device) bindIntegers(s *plan.Step, w *kernel.IntWeight, columns []int32) *integerInput {
	in := &integerInput{rows: kernel.Quantised{Type: w.Type, Stride: d.table.RowBytes(w.Type, w.K)}}
	if columns != nil {
		in.scratch = w.K
	}
	rows := d.program.Buffers[s.Args[linearX].Index].Rows
	d.intBytes[rows-plan.PerToken] = max(d.intBytes[rows-plan.PerToken], in.rows.Stride+elementBytes) // and the unit
	var x Rows
	in.before = byRows(func() int {
		x = d.input(s, linearX)
		in.rows.Data, in.rows.Units = d.ints.Data, d.ints.Units
		return x.Count
	}, func(worker, r int) {
		row := x.Row(r)
		if columns != nil {
			row = d.scratch[worker][:w.K]
			gather(row, x, columns, r, r+1)
		}
		d.table.Quantise(&in.rows, r, row)
	})
	return in
}

// growIntegers makes memory for the integers of the widest product.
func (d *Device) growIntegers() {
	if n := max(d.intBytes[0]*d.tokens(), d.intBytes[1]*d.rows()); len(d.ints.Data) < n {
		d.ints.Data = nil
		d.ints.Data = bytesOf(alignedFloats((n + elementBytes - 1) / elementBytes))
	}
	if n := max(d.tokens(), d.rows()); len(d.ints.Units) < n {
		d.ints.Units = make([]float32, n)
	}
}

func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), elementBytes*len(v))
}
