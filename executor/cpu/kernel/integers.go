package kernel

import (
	"encoding/binary"

	"etc/formats/plan/layout"
)

// Quantised is rows of integers, as Table.Quantise leaves them: row r begins at
// Data[r·Stride], and row ≈ Units[r]·integers. How the integers lie there is a
// matter between Quantise and Integers of one table.
type Quantised struct {
	Type   layout.Int
	Data   []byte
	Stride int // bytes, RowBytes
	Units  []float32
}

// From is the rows from r on.
func (q Quantised) From(r int) Quantised {
	q.Data, q.Units = q.Data[r*q.Stride:], q.Units[r:]
	return q
}

// integerBytes is the size of an integer of x. Without dot products of bytes
// int8 is widened to int16; with them it is unsigned, 128 more than it stands for.
func (t *Table) integerBytes(typ layout.Int) int {
	if typ == layout.Int8 && t.dots {
		return 1
	}
	return 2
}

// RowBytes is the size of a row of k integers: whole tiles, in an odd number of
// cache lines, so that rows spread over the sets of a cache.
func (t *Table) RowBytes(typ layout.Int, k int) int {
	const line = 64
	return (vectors(k)*lanes*t.integerBytes(typ)+line-1)/line*line | line
}

// Quantise puts the integers of x into row r of q, zeros behind them up to
// whole tiles. They and the unit are those of layout.Int.Quantise.
func (t *Table) Quantise(q *Quantised, r int, x []float32) {
	dst := q.Data[r*q.Stride : (r+1)*q.Stride]
	var factor float32
	if q.Type == layout.Int8 {
		factor, q.Units[r] = layout.Scales8(t.maxBits(x))
	} else {
		factor, q.Units[r] = layout.Scales16(t.sumSquares(x))
	}
	size := lanes * t.integerBytes(q.Type)
	if factor == 0 { // x may hold what has no integer
		t.zeroIntegers(q.Type, dst[:vectors(len(x))*size])
		return
	}
	whole := len(x) / lanes
	t.quantise(q.Type, dst, x[:whole*lanes], factor)
	if whole*lanes < len(x) {
		var tail [lanes]float32
		copy(tail[:], x[whole*lanes:])
		t.quantise(q.Type, dst[whole*size:], tail[:], factor)
	}
}

func (t *Table) zeroIntegers(typ layout.Int, dst []byte) {
	clear(dst)
	if t.integerBytes(typ) == 1 {
		for i := range dst {
			dst[i] = unsignedZero
		}
	}
}

const unsignedZero = 128 // the integer 0 of x in unsigned bytes

// An IntWeight is a matrix of integers as one table reads it.
type IntWeight struct {
	Type             layout.Int
	N, K             int
	units            []float32
	values           []byte
	offsets, columns []int32 // of tiles; nil: panels
	starts           []int32 // what the sums begin with; nil: 0
}

// IntPanels is a dense matrix for Integers.
func (t *Table) IntPanels(w layout.IntPanels) *IntWeight {
	return t.withStarts(&IntWeight{Type: w.Type, N: w.N, K: w.K, units: w.Units, values: w.Values})
}

// IntTiles is a matrix of kept tiles for Integers.
func (t *Table) IntTiles(w layout.IntTiles) *IntWeight {
	return t.withStarts(&IntWeight{Type: w.Type, N: w.N, K: w.K, units: w.Units, values: w.Values, offsets: w.Offsets, columns: w.Columns})
}

// withStarts makes up for x being 128 too large where it is unsigned: the sums
// start from -128·Σw. Σw is the product with a row of ones, exact in float32.
func (t *Table) withStarts(w *IntWeight) *IntWeight {
	if t.integerBytes(w.Type) != 1 {
		return w
	}
	ones := Quantised{Type: w.Type, Stride: t.RowBytes(w.Type, w.K), Units: []float32{1}}
	ones.Data = make([]byte, ones.Stride)
	for i := range ones.Data {
		ones.Data[i] = 1
	}
	var one, sums [lanes]float32
	for i := range one {
		one[i] = 1
	}
	starts := make([]int32, layout.Blocks(w.N)*lanes)
	for p := range layout.Blocks(w.N) {
		t.integerBlock(w, p, &intBlock{rows: 1, panels: 1, x: ones, y: sums[:], yStride: lanes, start: noStarts[:], units: one[:], bias: zeros[:]})
		for j, s := range sums {
			starts[p*lanes+j] = -unsignedZero * int32(s)
		}
	}
	w.starts = starts
	return w
}

// Kept is the number of integers that a row is multiplied by.
func (w *IntWeight) Kept() int64 {
	if w.offsets == nil {
		return int64(w.N) * int64(w.K)
	}
	return int64(len(w.values) / int(w.Type))
}

var noStarts [groupPanels * lanes]int32

// An intBlock is y[rows, 16·panels] = (start + x·w)·units·x.Units + bias, each
// operation rounded to float32 but the sum, which is exact.
type intBlock struct {
	rows, panels int
	x            Quantised // from the block's first row on
	y            []float32
	yStride      int
	start        []int32
	units, bias  []float32
}

// Integers computes the panels first to last-1 of a product with a matrix of
// integers, of rows that stand in x in place of l.X. Every table gives the same
// bits before the activation.
func (t *Table) Integers(l *Linear, x Quantised, w *IntWeight, first, last int) {
	chunk := t.chunkRows(x.Stride / 4)
	for row := 0; row < l.Rows; row += chunk {
		to := min(l.Rows, row+chunk)
		whole := min(last, w.N/lanes)
		for p := first; p < last; {
			panels := 1
			if p < whole && w.offsets == nil {
				panels = min(t.integerPanels(to-row), whole-p)
			}
			t.integerGroup(l, x, w, row, to, p, panels)
			p += panels
		}
	}
}

// integerGroup holds a group of panels while it goes over the rows.
func (t *Table) integerGroup(l *Linear, x Quantised, w *IntWeight, from, to, p, panels int) {
	var a aside
	at := p * lanes
	b := intBlock{panels: panels, start: noStarts[:], units: w.units[at:], bias: l.biasOf(w.N, p, panels, &a)}
	if w.starts != nil {
		b.start = w.starts[at:]
	}
	whole := (p+panels)*lanes <= w.N
	for r := from; r < to; r += b.rows {
		b.rows, b.x = cut(to-r, t.integerRows()), x.From(r)
		if whole {
			b.y, b.yStride = l.Y[r*l.YStride+at:], l.YStride
			t.integerBlock(w, p, &b)
			t.finish(l, r, b.rows, p, panels)
		} else {
			b.y, b.yStride = a.y[:], lanes
			t.integerBlock(w, p, &b)
			t.finishAside(l, w.N, r, b.rows, p, a.y[:])
		}
	}
}

// panel is what the block of panel p multiplies by: its values, the bytes from
// one panel to the next, and the columns of its tiles, nil of panels.
func (w *IntWeight) panel(p int) (values []byte, stride int, columns []int32) {
	if w.offsets == nil {
		stride = len(w.values) / max(1, layout.Blocks(w.N))
		return w.values[p*stride:], stride, nil
	}
	return w.values[int(w.offsets[p])*w.Type.TileBytes():], 0, w.columns[w.offsets[p]:w.offsets[p+1]]
}

// integerBlockGeneric is integerBlock in Go.
func integerBlockGeneric(w *IntWeight, p int, b *intBlock) {
	values, stride, columns := w.panel(p)
	for r := range b.rows {
		x := b.x.Data[r*b.x.Stride : (r+1)*b.x.Stride]
		for q := range b.panels {
			sums := [lanes]int32(b.start[q*lanes:])
			if w.offsets == nil {
				w.addSteps(&sums, x, values[q*stride:(q+1)*stride])
			}
			for i, c := range columns {
				size := w.Type.TileBytes()
				w.addSteps(&sums, x[int(c)*lanes*wideBytes:], values[i*size:(i+1)*size])
			}
			for j, sum := range sums {
				at := q*lanes + j
				y := float32(float32(float32(sum)*b.units[at]) * b.x.Units[r])
				b.y[r*b.yStride+at] = y + b.bias[at]
			}
		}
	}
}

// wideBytes is the size of an integer of x in portable Go.
const wideBytes = 2

// addSteps adds the steps of w, of 64 bytes each, to the sums.
func (w *IntWeight) addSteps(sums *[lanes]int32, x, steps []byte) {
	const line = 64
	for ; len(steps) >= line; steps = steps[line:] {
		step := (*[line]byte)(steps)
		if w.Type == layout.Int8 {
			x0, x2, x1, x3 := int16At(x, 0), int16At(x, 1), int16At(x, 2), int16At(x, 3)
			for j := range sums {
				b := step[4*j : 4*j+4]
				sums[j] += x0*int32(int8(b[0])) + x1*int32(int8(b[1])) + x2*int32(int8(b[2])) + x3*int32(int8(b[3]))
			}
			x = x[4*wideBytes:]
			continue
		}
		x0, x1 := int16At(x, 0), int16At(x, 1)
		for j := range sums {
			b := step[4*j : 4*j+4]
			sums[j] += x0*int16At(b, 0) + x1*int16At(b, 1)
		}
		x = x[2*wideBytes:]
	}
}

func int16At(b []byte, i int) int32 { return int32(int16(binary.LittleEndian.Uint16(b[2*i:]))) }

// wideOrder is where in a step of x its inputs lie, of widened int8.
var wideOrder = [...]int{0, 2, 1, 3}

// quantiseGeneric is quantise in Go, of integers in int16.
func quantiseGeneric(typ layout.Int, dst []byte, x []float32, factor float32) {
	for i, v := range x {
		at := i
		if typ == layout.Int8 {
			at = i&^3 + wideOrder[i&3]
		}
		layout.Int16.Put(dst, at, layout.Round(v, factor))
	}
}
