package ptxsim_test

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"etc/executor/ptxsim"
)

// The layouts of "Matrix Fragments for sparse mma.m16n8k32 with .f16 and
// .bf16 types". A is 16 x 32 of which two in each chunk of four in a row are
// stored, in the order of their columns: 16 x 16, element 2*chunk+i the i-th
// of a chunk.

// sparseA is the stored element: the manual gives the chunk as the columns
// firstcol to firstcol+3, and i says which of its two.
func sparseA(lane, i int) element {
	group, member := groupOf(lane)
	row := group + 8
	if i < 2 || 4 <= i && i < 6 {
		row = group
	}
	first := member * 4
	if i >= 4 {
		first += 16
	}
	return element{row, first/4*2 + i&1}
}

// sparseB is Figure 121: four registers of rows 8 apart.
func sparseB(lane, i int) element {
	group, member := groupOf(lane)
	return element{i/2*8 + member*2 + i&1, group}
}

// A place is where a chunk's four bits of metadata lie: the lane whose
// register holds them, and the lowest of their bits.
type place struct{ lane, bit int }

// metadata is Figure 122 for a selector: of the lanes of a group, the two at
// 2*selector hold 16 columns each, of row group in the low half and of row
// group+8 in the high half.
func metadata(selector, row, chunk int) place {
	return place{lane: row%8*4 + 2*selector + chunk/4, bit: row/8*16 + chunk%4*4}
}

// A sparse matrix is the stored values of A with their columns within the
// chunks.
type sparse struct {
	stored matrix // 16 x 16
	column [16][16]int
}

// newSparse chooses two columns of each chunk of the stored values, low to
// high; all six pairs come up.
func newSparse(r *rand.Rand, stored matrix) sparse {
	s := sparse{stored: stored}
	for row := range stored {
		for chunk := range 8 {
			pair := r.Perm(4)[:2]
			s.column[row][2*chunk], s.column[row][2*chunk+1] = min(pair[0], pair[1]), max(pair[0], pair[1])
		}
	}
	return s
}

// dense is the 16 x 32 matrix.
func (s sparse) dense() matrix {
	m := newMatrix(16, 32)
	for row := range s.stored {
		for i, v := range s.stored[row] {
			m[row][i/2*4+s.column[row][i]] += v
		}
	}
	return m
}

// registers are the metadata words of all lanes. Lanes that are not selected
// hold others, which would give other results.
func (s sparse) registers(selector int, at func(selector, row, chunk int) place) []uint32 {
	words := make([]uint32, warp)
	for lane := range words {
		words[lane] = 0x4e4e94ce // pairs of columns, at random
	}
	for row := range 16 {
		for chunk := range 8 {
			p := at(selector, row, chunk)
			bits := uint32(s.column[row][2*chunk] | s.column[row][2*chunk+1]<<2)
			words[p.lane] = words[p.lane]&^(0xf<<p.bit) | bits<<p.bit
		}
	}
	return words
}

// sparseTables are the layouts of one use of mma.sp.
type sparseTables struct {
	a, b layout
	e    func(selector, row, chunk int) place
	d    layout
}

var manualSparse = sparseTables{sparseA, sparseB, metadata, mmaC}

// mmaSparse is the program of one sparse product: A, B, C and metadata in.
func mmaSparse(h half, selector int) program {
	return program{in: 13, out: 4, body: "\tmov.b32 %f4, %i8;\n\tmov.b32 %f5, %i9;\n\tmov.b32 %f6, %i10;\n\tmov.b32 %f7, %i11;\n" +
		fmt.Sprintf("\tmma.sp.sync.aligned.m16n8k32.row.col.f32.%s.%s.f32 {%%f0,%%f1,%%f2,%%f3}, {%%i0,%%i1,%%i2,%%i3}, "+
			"{%%i4,%%i5,%%i6,%%i7}, {%%f4,%%f5,%%f6,%%f7}, %%i12, %#x;\n", h.name, h.name, selector) +
		"\tmov.b32 %o0, %f0;\n\tmov.b32 %o1, %f1;\n\tmov.b32 %o2, %f2;\n\tmov.b32 %o3, %f3;\n"}
}

// records lays the operands out by the tables.
func (l sparseTables) records(h half, selector int, a sparse, b, c matrix) []uint32 {
	var records []uint32
	e := a.registers(selector, l.e)
	for lane := range warp {
		records = append(records, a.stored.pairs(h, l.a, lane, 8)...)
		records = append(records, b.pairs(h, l.b, lane, 8)...)
		records = append(records, c.singles(mmaC, lane, 4)...)
		records = append(records, e[lane])
	}
	return records
}

// wrongSparse are the tables with one exchange each.
func wrongSparse() map[string]sparseTables {
	moved := func(change func(p place) place) func(int, int, int) place {
		return func(selector, row, chunk int) place { return change(metadata(selector, row, chunk)) }
	}
	wrong := map[string]sparseTables{
		"A: registers 1 and 2":    {layout(sparseA).registersExchanged(1, 2), sparseB, metadata, mmaC},
		"A: halves of register 3": {layout(sparseA).exchanged(6, 7), sparseB, metadata, mmaC},
		"A: lanes 2 and 3":        {layout(sparseA).lanesExchanged(2, 3), sparseB, metadata, mmaC},
		"B: registers 1 and 2":    {sparseA, layout(sparseB).registersExchanged(1, 2), metadata, mmaC},
		"B: registers 0 and 3":    {sparseA, layout(sparseB).registersExchanged(0, 3), metadata, mmaC},
		"B: halves of register 2": {sparseA, layout(sparseB).exchanged(4, 5), metadata, mmaC},
		"B: lanes 9 and 13":       {sparseA, layout(sparseB).lanesExchanged(9, 13), metadata, mmaC},
		"D: registers 1 and 2":    {sparseA, sparseB, metadata, layout(mmaC).exchanged(1, 2)},
		"E: rows 8 apart":         {sparseA, sparseB, moved(func(p place) place { return place{p.lane, p.bit ^ 16} }), mmaC},
		"E: the two lanes":        {sparseA, sparseB, moved(func(p place) place { return place{p.lane ^ 1, p.bit} }), mmaC},
		"E: chunks last to first": {sparseA, sparseB, moved(func(p place) place { return place{p.lane, p.bit ^ 12} }), mmaC},
		"E: groups 0 and 1":       {sparseA, sparseB, moved(func(p place) place { return place{p.lane ^ 4, p.bit} }), mmaC},
		"E: the other selector":   {sparseA, sparseB, moved(func(p place) place { return place{p.lane ^ 2, p.bit} }), mmaC},
		"E: one row a lane": {sparseA, sparseB, func(selector, row, chunk int) place {
			return place{lane: row%8*4 + 2*selector + row/8, bit: chunk * 4}
		}, mmaC},
	}
	return wrong
}

func TestManualSparseMMA(t *testing.T) {
	r := rand.New(rand.NewSource(13))
	for _, h := range halves {
		for selector := range 2 {
			a, b, c := newSparse(r, distinct(r, 16, 16)), distinct(r, 32, 8), distinct(r, 16, 8)
			want, size := product(a.dense(), b, c)
			p := mmaSparse(h, selector)
			if n := off(p.run(t, manualSparse.records(h, selector, a, b, c)), mmaC, want, size, 0); n != 0 {
				t.Errorf("%s selector %d: %d of 128 integers are not those of the manual's layout", h.name, selector, n)
			}
			for name, wrong := range wrongSparse() {
				results, err := p.launch(t, wrong.records(h, selector, a, b, c))
				if err == nil && off(results, wrong.d, want, size, 0) == 0 {
					t.Errorf("%s selector %d: nothing here tells the manual from exchanged %q", h.name, selector, name)
				}
			}
			for range 8 {
				a, b, c := newSparse(r, random(r, h, 16, 16)), random(r, h, 32, 8), random(r, h, 16, 8)
				want, size := product(a.dense(), b, c)
				if n := off(p.run(t, manualSparse.records(h, selector, a, b, c)), mmaC, want, size, 32); n != 0 {
					t.Errorf("%s selector %d: %d of 128 sums of random values are off", h.name, selector, n)
				}
			}
		}
	}
}

// Lanes that are not selected contribute no metadata: theirs may be anything.
func TestManualSparseMMAIgnoresOtherLanes(t *testing.T) {
	r := rand.New(rand.NewSource(14))
	for selector := range 2 {
		a, b, c := newSparse(r, distinct(r, 16, 16)), distinct(r, 32, 8), distinct(r, 16, 8)
		records := manualSparse.records(f16, selector, a, b, c)
		for lane := range warp {
			if lane%4/2 != selector {
				records[13*lane+12] = 0 // of no meaning, were it read
			}
		}
		want, size := product(a.dense(), b, c)
		if n := off(mmaSparse(f16, selector).run(t, records), mmaC, want, size, 0); n != 0 {
			t.Errorf("selector %d: %d of 128 are off", selector, n)
		}
	}
}

// Only mma.sp::ordered_metadata demands indices from low to high. A simulator
// may refuse others here as well, and must not give another product.
func TestManualSparseMMADescendingIndices(t *testing.T) {
	r := rand.New(rand.NewSource(15))
	a, b, c := newSparse(r, distinct(r, 16, 16)), distinct(r, 32, 8), distinct(r, 16, 8)
	a.column[3][4], a.column[3][5] = 2, 1
	want, size := product(a.dense(), b, c)
	results, err := mmaSparse(f16, 0).launch(t, manualSparse.records(f16, 0, a, b, c))
	var finding *ptxsim.Finding
	if n := off(results, mmaC, want, size, 0); n != 0 && !errors.As(err, &finding) {
		t.Errorf("indices from high to low: %d of 128 are off, and nothing was reported", n)
	}
}
