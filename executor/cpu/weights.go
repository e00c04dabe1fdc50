package cpu

import (
	"unsafe"

	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// A weight is the view of one weight in its layout; only one field is set.
type weight struct {
	floats    []float32 // row-major
	ints      []int32
	width     int // of floats as a matrix
	panels    layout.Panels
	tiles     layout.Tiles
	csr       layout.CSR // of 2:4 weights too
	quantised *kernel.IntWeight
}

// bindWeights makes views of the mapped weights that steps read; the others are
// those of other targets. plan.Check has checked the contents; the views are
// made by the same checks, so none is trusted twice.
func (d *Device) bindWeights() error {
	d.weights = make([]weight, len(d.program.Weights))
	for _, i := range d.program.UsedWeights() {
		w := &d.program.Weights[i]
		bytes := d.program.Data[w.Offset : w.Offset+w.Size]
		v := &d.weights[i]
		var err error
		switch w.Layout {
		case plan.RowMajor:
			if w.DType == tensor.I32 {
				v.ints = view[int32](bytes)
			} else {
				v.floats, v.width = view[float32](bytes), w.Shape[len(w.Shape)-1]
			}
		case plan.Panels:
			v.panels, err = layout.CheckPanels(w.Shape[0], w.Shape[1], bytes)
		case plan.Tiles:
			v.tiles, err = layout.CheckTiles(w.Shape[0], w.Shape[1], bytes)
		case plan.CSR:
			v.csr, err = layout.CheckCSR(w.Shape[0], w.Shape[1], bytes)
		case plan.NM24:
			var nm layout.Sparse24
			if nm, err = layout.CheckSparse24(w.Shape[0], w.Shape[1], bytes); err == nil {
				v.csr = nm.Expand()
			}
		case plan.IntPanels:
			var panels layout.IntPanels
			if panels, err = layout.CheckIntPanels(layout.Int(w.DType.Size()), w.Shape[0], w.Shape[1], bytes); err == nil {
				v.quantised = d.table.IntPanels(panels)
			}
		case plan.IntTiles:
			var tiles layout.IntTiles
			if tiles, err = layout.CheckIntTiles(layout.Int(w.DType.Size()), w.Shape[0], w.Shape[1], bytes); err == nil {
				v.quantised = d.table.IntTiles(tiles)
			}
		default:
			err = fault.Newf(fault.Corrupt, "layout %d is not known", w.Layout)
		}
		if err != nil {
			return fault.Newf(fault.Corrupt, "weight %q: %w", w.Name, err)
		}
	}
	return nil
}

// view reads bytes in place; offsets are multiples of 64 and sizes of 4.
func view[E int32 | float32](b []byte) []E {
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// vector is the weight at operand i as a list, nil where it is absent.
func (d *Device) vector(s *plan.Step, i int) []float32 {
	if s.Args[i].Kind == plan.None {
		return nil
	}
	return d.weights[s.Args[i].Index].floats
}

// indices is the weight at operand i as a list of columns, nil where it is absent.
func (d *Device) indices(s *plan.Step, i int) []int32 {
	if s.Args[i].Kind == plan.None {
		return nil
	}
	return d.weights[s.Args[i].Index].ints
}
