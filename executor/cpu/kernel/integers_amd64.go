package kernel

import (
	"unsafe"

	"etc/formats/plan/layout"

	"golang.org/x/sys/cpu"
)

// hasDots reports whether a level has dot products of integers: AVX512VNNI, and
// AVX2 and AVX512 on machines with AVX-VNNI.
func hasDots(l Level) bool {
	return l == AVX512VNNI || l > Generic && cpu.X86.HasAVXVNNI
}

// integerRows is the most rows of a block of integers. At level AVX512 they are
// those of AVX2.
func (t *Table) integerRows() int {
	if t.level == AVX2 || t.level == AVX512 {
		return 6
	}
	return maxRows
}

// integerPanels is the most panels of a block of so many rows of integers.
func (t *Table) integerPanels(rows int) int {
	if rows > 2 && (t.level == AVX2 || t.level == AVX512) {
		return 1
	}
	return groupPanels
}

// integerBlock computes b for the panels of w from p on.
func (t *Table) integerBlock(w *IntWeight, p int, b *intBlock) {
	if t.level == Generic {
		integerBlockGeneric(w, p, b)
		return
	}
	values, stride, columns := w.panel(p)
	last := b.panels*lanes - 1
	_, _, _, _, _ = b.y[(b.rows-1)*b.yStride+last], b.start[last], b.units[last], b.bias[last], b.x.Units[b.rows-1]
	_ = b.x.Data[(b.rows-1)*b.x.Stride+t.RowBytes(w.Type, w.K)-1]
	x, at, bits := &b.x.Data[0], unsafe.SliceData(values), 8*int(w.Type)
	y, start, units, rowUnits, bias := &b.y[0], &b.start[0], &b.units[0], &b.x.Units[0], &b.bias[0]
	if w.offsets != nil {
		n, c := len(columns), unsafe.SliceData(columns)
		switch {
		case t.level == AVX512VNNI:
			intTilesAVX512VNNI(bits, b.rows, x, b.x.Stride, at, c, n, y, 4*b.yStride, start, units, rowUnits, bias)
		case t.dots:
			intTilesAVXVNNI(bits, b.rows, x, b.x.Stride, at, c, n, y, 4*b.yStride, start, units, rowUnits, bias)
		default:
			intTilesAVX2(bits, b.rows, x, b.x.Stride, at, c, n, y, 4*b.yStride, start, units, rowUnits, bias)
		}
		return
	}
	steps := w.Type.Steps(w.K)
	_ = values[:b.panels*stride]
	switch {
	case t.level == AVX512VNNI:
		intDenseAVX512VNNI(bits, b.rows, b.panels, x, b.x.Stride, at, stride, steps, y, 4*b.yStride, start, units, rowUnits, bias)
	case t.dots:
		intDenseAVXVNNI(bits, b.rows, b.panels, x, b.x.Stride, at, stride, steps, y, 4*b.yStride, start, units, rowUnits, bias)
	default:
		intDenseAVX2(bits, b.rows, b.panels, x, b.x.Stride, at, stride, steps, y, 4*b.yStride, start, units, rowUnits, bias)
	}
}

// PeakIntegers is Peak of products of integers: two operations for each number of
// W that is multiplied.
func (t *Table) PeakIntegers(typ layout.Int, n int) int {
	const products, stepBytes, operations = 12, 4, 2 // of a register; of W in a lane; a multiply and an add
	registerLanes := lanes / 2
	switch bits := 8 * int(typ); {
	case t.level == Generic:
		return 0
	case t.level == AVX512VNNI:
		registerLanes = lanes
		intPeakAVX512VNNI(bits, n)
	case t.dots:
		intPeakAVXVNNI(bits, n)
	default:
		intPeakAVX2(bits, n)
	}
	return n * products * registerLanes * stepBytes / t.integerBytes(typ) * operations
}

// sumSquares is layout.SumSquares.
func (t *Table) sumSquares(x []float32) float64 {
	if t.level == Generic {
		return layout.SumSquares(x)
	}
	var sum [lanes]float64
	v := len(x) / lanes
	if v > 0 {
		if t.level == AVX2 {
			sumSquaresAVX2(&x[0], v, &sum[0])
		} else {
			sumSquaresAVX512(&x[0], v, &sum[0])
		}
	}
	for i, s := range x[v*lanes:] {
		sum[i] += float64(s) * float64(s)
	}
	return layout.FoldSquares(&sum)
}

// maxBits is layout.MaxBits.
func (t *Table) maxBits(x []float32) uint32 {
	v := len(x) / lanes
	if t.level == Generic || v == 0 {
		return layout.MaxBits(x)
	}
	var most [lanes]uint32
	if t.level == AVX2 {
		maxBitsAVX2(&x[0], v, &most[0])
	} else {
		maxBitsAVX512(&x[0], v, &most[0])
	}
	bits := layout.MaxBits(x[v*lanes:])
	for _, b := range most {
		bits = max(bits, b)
	}
	return bits
}

// quantise puts the integers of x, whose length is a multiple of 16, into dst.
func (t *Table) quantise(typ layout.Int, dst []byte, x []float32, factor float32) {
	v := len(x) / lanes
	if v == 0 {
		return
	}
	_ = dst[len(x)*t.integerBytes(typ)-1]
	narrow := t.integerBytes(typ) == 1
	switch {
	case t.level == Generic:
		quantiseGeneric(typ, dst, x, factor)
	case t.level == AVX2 && narrow:
		quantise8AVX2(&dst[0], &x[0], v, factor)
	case t.level == AVX2 && typ == layout.Int8:
		quantise8WideAVX2(&dst[0], &x[0], v, factor)
	case t.level == AVX2:
		quantise16AVX2(&dst[0], &x[0], v, factor)
	case narrow:
		quantise8AVX512(&dst[0], &x[0], v, factor)
	case typ == layout.Int8:
		quantise8WideAVX512(&dst[0], &x[0], v, factor)
	default:
		quantise16AVX512(&dst[0], &x[0], v, factor)
	}
}
