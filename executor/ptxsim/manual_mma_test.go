package ptxsim_test

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
)

// An element is a place in a matrix.
type element struct{ row, column int }

// A layout says which element of a matrix a lane holds as the i-th of its
// fragment, counted from the low half of the first register on.
type layout func(lane, i int) element

// groupOf are groupID and threadID_in_group of the manual.
func groupOf(lane int) (group, member int) { return lane >> 2, lane % 4 }

// The layouts of "Matrix Fragments for mma.m16n8k16 with floating point
// type", .f16 and .bf16: 8 elements of A, 4 of B and 4 of C or D a lane.

func mmaA(lane, i int) element {
	group, member := groupOf(lane)
	row := group + 8
	if i < 2 || 4 <= i && i < 6 {
		row = group
	}
	column := member*2 + i&1
	if i >= 4 {
		column += 8
	}
	return element{row, column}
}

func mmaB(lane, i int) element {
	group, member := groupOf(lane)
	row := member*2 + i&1
	if i >= 2 {
		row += 8
	}
	return element{row, group}
}

func mmaC(lane, i int) element {
	group, member := groupOf(lane)
	row := group + 8
	if i < 2 {
		row = group
	}
	return element{row, member*2 + i&1}
}

// exchanged is the layout with elements a and b of every lane exchanged.
func (l layout) exchanged(a, b int) layout {
	return func(lane, i int) element {
		switch i {
		case a:
			return l(lane, b)
		case b:
			return l(lane, a)
		}
		return l(lane, i)
	}
}

// registersExchanged is the layout with registers a and b of pairs exchanged.
func (l layout) registersExchanged(a, b int) layout {
	return l.exchanged(2*a, 2*b).exchanged(2*a+1, 2*b+1)
}

// lanesExchanged is the layout with lanes a and b exchanged.
func (l layout) lanesExchanged(a, b int) layout {
	return func(lane, i int) element {
		switch lane {
		case a:
			lane = b
		case b:
			lane = a
		}
		return l(lane, i)
	}
}

// A matrix is rows of values.
type matrix [][]float64

func newMatrix(rows, columns int) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}

// distinct is a matrix of the integers from 1 on in random places, or of
// random values of the format, about 1 in size.
func distinct(r *rand.Rand, rows, columns int) matrix {
	m, order := newMatrix(rows, columns), r.Perm(rows*columns)
	for i, v := range order {
		m[i/columns][i%columns] = float64(v + 1)
	}
	return m
}

func random(r *rand.Rand, h half, rows, columns int) matrix {
	m := newMatrix(rows, columns)
	for _, row := range m {
		for i := range row {
			row[i] = h.value(h.round(r.NormFloat64()))
		}
	}
	return m
}

// pairs are the fragment of n elements of one lane, two to a register, the
// first low.
func (m matrix) pairs(h half, l layout, lane, n int) []uint32 {
	var registers []uint32
	for i := 0; i < n; i += 2 {
		low, high := l(lane, i), l(lane, i+1)
		registers = append(registers, uint32(h.exact(m[low.row][low.column]))|uint32(h.exact(m[high.row][high.column]))<<16)
	}
	return registers
}

// singles are the fragment of n float32 of one lane.
func (m matrix) singles(l layout, lane, n int) []uint32 {
	var registers []uint32
	for i := range n {
		at := l(lane, i)
		registers = append(registers, math.Float32bits(float32(m[at.row][at.column])))
	}
	return registers
}

// product is a*b + c and, for each of its elements, the sum of the sizes of
// what was added.
func product(a, b, c matrix) (d, size matrix) {
	d, size = newMatrix(len(a), len(b[0])), newMatrix(len(a), len(b[0]))
	for i := range d {
		for j := range d[i] {
			d[i][j], size[i][j] = c[i][j], math.Abs(c[i][j])
			for k := range b {
				d[i][j] += a[i][k] * b[k][j]
				size[i][j] += math.Abs(a[i][k] * b[k][j])
			}
		}
	}
	return d, size
}

// off counts the elements of the 16 x 8 results, four a lane by the layout,
// that are not want. The manual leaves the order and rounding of the sums
// open ("at least single precision"): products are exact in float32, and of
// the additions, n where there are n products and c, each may be off by one
// unit in the last place, 2^-23, of a partial sum no larger than size. For
// integers whose size is below 2^24 all sums are exact: n is 0.
func off(results []uint32, l layout, want, size matrix, n int) int {
	wrong := 0
	for lane := range warp {
		for i := range 4 {
			at := l(lane, i)
			got := float64(math.Float32frombits(results[4*lane+i]))
			allowed := float64(n) * math.Ldexp(size[at.row][at.column], -23)
			if !(math.Abs(got-want[at.row][at.column]) <= allowed) {
				wrong++
			}
		}
	}
	return wrong
}

// mma is the program of one product: A, B and C in, D out.
func mma(h half) program {
	return program{in: 10, out: 4, body: "\tmov.b32 %f4, %i6;\n\tmov.b32 %f5, %i7;\n\tmov.b32 %f6, %i8;\n\tmov.b32 %f7, %i9;\n" +
		fmt.Sprintf("\tmma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32 {%%f0,%%f1,%%f2,%%f3}, {%%i0,%%i1,%%i2,%%i3}, {%%i4,%%i5}, {%%f4,%%f5,%%f6,%%f7};\n", h.name, h.name) +
		"\tmov.b32 %o0, %f0;\n\tmov.b32 %o1, %f1;\n\tmov.b32 %o2, %f2;\n\tmov.b32 %o3, %f3;\n"}
}

// tables are the layouts of one use of mma.
type tables struct{ a, b, c, d layout }

var mmaTables = tables{mmaA, mmaB, mmaC, mmaC}

// product runs the program on the matrices, laid out by the tables.
func (l tables) product(t *testing.T, h half, a, b, c matrix) []uint32 {
	t.Helper()
	var records []uint32
	for lane := range warp {
		records = append(records, a.pairs(h, l.a, lane, 8)...)
		records = append(records, b.pairs(h, l.b, lane, 4)...)
		records = append(records, c.singles(l.c, lane, 4)...)
	}
	return mma(h).run(t, records)
}

func TestManualMMA(t *testing.T) {
	r := rand.New(rand.NewSource(11))
	for _, h := range halves {
		a, b, c := distinct(r, 16, 16), distinct(r, 16, 8), distinct(r, 16, 8)
		want, size := product(a, b, c)
		if n := off(mmaTables.product(t, h, a, b, c), mmaC, want, size, 0); n != 0 {
			t.Errorf("%s: %d of 128 integers are not those of the manual's layout", h.name, n)
		}
		for name, wrong := range map[string]tables{
			"A: registers 1 and 2":    {layout(mmaA).registersExchanged(1, 2), mmaB, mmaC, mmaC},
			"A: registers 0 and 3":    {layout(mmaA).registersExchanged(0, 3), mmaB, mmaC, mmaC},
			"A: halves of register 2": {layout(mmaA).exchanged(4, 5), mmaB, mmaC, mmaC},
			"A: lanes 0 and 1":        {layout(mmaA).lanesExchanged(0, 1), mmaB, mmaC, mmaC},
			"A: lanes 27 and 31":      {layout(mmaA).lanesExchanged(27, 31), mmaB, mmaC, mmaC},
			"B: registers 0 and 1":    {mmaA, layout(mmaB).registersExchanged(0, 1), mmaC, mmaC},
			"B: halves of register 1": {mmaA, layout(mmaB).exchanged(2, 3), mmaC, mmaC},
			"B: lanes 5 and 6":        {mmaA, layout(mmaB).lanesExchanged(5, 6), mmaC, mmaC},
			"B: lanes 0 and 28":       {mmaA, layout(mmaB).lanesExchanged(0, 28), mmaC, mmaC},
			"C: registers 1 and 2":    {mmaA, mmaB, layout(mmaC).exchanged(1, 2), mmaC},
			"C: lanes 1 and 4":        {mmaA, mmaB, layout(mmaC).lanesExchanged(1, 4), mmaC},
			"D: registers 0 and 1":    {mmaA, mmaB, mmaC, layout(mmaC).exchanged(0, 1)},
			"D: lanes 30 and 31":      {mmaA, mmaB, mmaC, layout(mmaC).lanesExchanged(30, 31)},
		} {
			if off(wrong.product(t, h, a, b, c), wrong.d, want, size, 0) == 0 {
				t.Errorf("%s: nothing here tells the manual from exchanged %q", h.name, name)
			}
		}
		for range 8 {
			a, b, c := random(r, h, 16, 16), random(r, h, 16, 8), random(r, h, 16, 8)
			want, size := product(a, b, c)
			if n := off(mmaTables.product(t, h, a, b, c), mmaC, want, size, 16); n != 0 {
				t.Errorf("%s: %d of 128 sums of random values are off", h.name, n)
			}
		}
	}
}

// A sum of ones and one 1 in A and B shows each element alone: D is A's
// element where B is the unit matrix of a column.
func TestManualMMAElementByElement(t *testing.T) {
	for _, h := range halves {
		zero := newMatrix(16, 8)
		for first := 0; first < 16; first += 8 {
			a, b := distinct(rand.New(rand.NewSource(12)), 16, 16), newMatrix(16, 8)
			for n := range 8 {
				b[first+n][n] = 1
			}
			results := mmaTables.product(t, h, a, b, zero)
			for lane := range warp {
				for i := range 4 {
					at := mmaC(lane, i)
					if got := math.Float32frombits(results[4*lane+i]); float64(got) != a[at.row][first+at.column] {
						t.Fatalf("%s: A[%d][%d] came out as %v, is %v", h.name, at.row, first+at.column, got, a[at.row][first+at.column])
					}
				}
			}
		}
	}
}
