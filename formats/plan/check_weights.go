package plan

import (
	"encoding/binary"
	"fmt"

	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// elemSize is the size of f32 and i32.
const elemSize = 4

func align(n int64) int64 { return (n + layout.Align - 1) &^ (layout.Align - 1) }

// weights lie one after another, each at the next multiple of 64, in the
// order of the table; what is between them is zero. So no two overlap, and
// looking at all of them looks at each byte once.
func (c *checker) weights() error {
	c.lastColumn = make([]int, len(c.plan.Weights))
	end := int64(0)
	for i := range c.plan.Weights {
		w := &c.plan.Weights[i]
		var err error
		if end, err = c.extent(w, end); err == nil {
			err = checkShape(w)
		}
		if err == nil {
			c.lastColumn[i], err = checkContents(w, c.plan.Data[w.Offset:end])
		}
		if err != nil {
			return refuse("weight %d %q: %w", i, w.Name, err)
		}
	}
	if size := int64(len(c.plan.Data)); size != align(end) {
		return refuse("weights: %d bytes, want %d", size, align(end))
	}
	return c.gap(end)
}

// extent checks where w lies, after a weight that ends at before, and returns its end.
func (c *checker) extent(w *Weight, before int64) (int64, error) {
	size := int64(len(c.plan.Data))
	if w.Offset != align(before) {
		return 0, fmt.Errorf("offset %d, want %d", w.Offset, align(before))
	}
	if w.Size < 0 || w.Offset > size || w.Size > size-w.Offset {
		return 0, fmt.Errorf("%d bytes from offset %d, of %d", w.Size, w.Offset, size)
	}
	return w.Offset + w.Size, c.gap(before)
}

// gap checks the bytes between a weight's end and the next multiple of 64.
func (c *checker) gap(end int64) error {
	for _, b := range c.plan.Data[end:align(end)] {
		if b != 0 {
			return refuse("weights: the gap from byte %d is not zero", end)
		}
	}
	return nil
}

func checkShape(w *Weight) error {
	if len(w.Shape) != 2 && (len(w.Shape) != 1 || w.Layout != RowMajor) {
		return fmt.Errorf("shape %v in layout %v, want [n] row-major or [N,K]", w.Shape, w.Layout)
	}
	for _, d := range w.Shape {
		if !within(d, 0, maxDim) {
			return fmt.Errorf("shape %v, want sizes from 0 to %d", w.Shape, maxDim)
		}
	}
	ok := w.DType == tensor.F32
	switch {
	case w.Layout.isGPU():
		ok = w.DType == tensor.F16 || w.DType == tensor.BF16
	case w.Layout == IntPanels || w.Layout == IntTiles:
		ok = w.DType == tensor.I16 || w.DType == tensor.I8
	case w.DType == tensor.I32:
		ok = w.Layout == RowMajor && len(w.Shape) == 1
	}
	if !ok {
		return fmt.Errorf("dtype %v of shape %v in layout %v, want f16 or bf16 in the layouts for GPUs, i16 or i8 in those of integers, else f32, or i32 of shape [n] row-major", w.DType, w.Shape, w.Layout)
	}
	return nil
}

// isGPU reports whether l has elements of two bytes, for kernels on GPUs.
func (l Layout) isGPU() bool { return within(int(l), int(Padded), int(GPU24)) }

// checkContents checks size and indices of a weight whose shape has been
// checked, and returns the last column of a list of columns.
func checkContents(w *Weight, b []byte) (lastColumn int, err error) {
	switch w.Layout {
	case RowMajor:
		n, _ := tensor.Elements(w.Shape) // two dimensions of at most maxDim: no overflow
		if len(b) != n*elemSize {
			return 0, fmt.Errorf("%d bytes for %v%v, want %d", len(b), w.DType, w.Shape, n*elemSize)
		}
		if w.DType == tensor.I32 {
			return checkColumns(b)
		}
	case Panels:
		_, err = layout.CheckPanels(w.Shape[0], w.Shape[1], b)
	case Tiles:
		_, err = layout.CheckTiles(w.Shape[0], w.Shape[1], b)
	case CSR:
		_, err = layout.CheckCSR(w.Shape[0], w.Shape[1], b)
	case NM24:
		_, err = layout.CheckSparse24(w.Shape[0], w.Shape[1], b)
	case Padded:
		_, err = layout.CheckPadded(w.Shape[0], w.Shape[1], b)
	case GPUTiles:
		_, err = layout.CheckGPUTiles(w.Shape[0], w.Shape[1], b)
	case GPUCSR:
		_, err = layout.CheckGPUCSR(w.Shape[0], w.Shape[1], b)
	case GPU24:
		_, err = layout.CheckGPU24(w.Shape[0], w.Shape[1], b)
	case IntPanels:
		_, err = layout.CheckIntPanels(layout.Int(w.DType.Size()), w.Shape[0], w.Shape[1], b)
	case IntTiles:
		_, err = layout.CheckIntTiles(layout.Int(w.DType.Size()), w.Shape[0], w.Shape[1], b)
	default:
		err = fmt.Errorf("%v is not known", w.Layout)
	}
	return 0, err
}

// checkColumns insists that the numbers of b ascend from 0 or more.
func checkColumns(b []byte) (last int, err error) {
	last = -1
	for i := 0; i < len(b); i += elemSize {
		column := int(int32(binary.LittleEndian.Uint32(b[i:])))
		if column <= last {
			return 0, fmt.Errorf("column %d after %d, want them ascending from 0 or more", column, last)
		}
		last = column
	}
	return last, nil
}
