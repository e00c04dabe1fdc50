package ptxsim_test

import (
	"fmt"
	"math/rand"
	"testing"
)

// The layouts of "Warp-level matrix load instruction: ldmatrix", .m8n8 and
// .b16. Lane 8*j+i gives the address of row i of matrix j; register j of a
// lane is its fragment of matrix j: with Figure 104 two elements that are
// neighbours in a row, with .trans two that are neighbours in a column.

func ldmatrixPlain(lane, i int) element { return element{lane / 4, lane%4*2 + i} }

func ldmatrixTrans(lane, i int) element { return element{lane%4*2 + i, lane / 4} }

// loads is the program: 256 words of shared bytes, 8 of each lane's record,
// then the instruction at the address of the lane's first word.
func loads(matrices int, trans bool) program {
	registers, suffix := "%o0", ""
	for i := 1; i < matrices; i++ {
		registers += fmt.Sprintf(", %%o%d", i)
	}
	if trans {
		suffix = ".trans"
	}
	return program{in: 9, out: matrices, shared: 1024, body: "\tshl.b32 %r10, %r0, 5;\n\tadd.s32 %r11, %r1, %r10;\n" +
		"\tst.shared.v4.u32 [%r11], {%i1, %i2, %i3, %i4};\n\tst.shared.v4.u32 [%r11+16], {%i5, %i6, %i7, %i8};\n" +
		"\tbar.sync 0;\n\tadd.s32 %r12, %r1, %i0;\n" +
		fmt.Sprintf("\tldmatrix.sync.aligned.m8n8.x%d%s.shared.b16 {%s}, [%%r12];\n", matrices, suffix, registers)}
}

// shared are records whose shared bytes are the 16-bit numbers 0, 1, 2, ...,
// so that an element at byte b is b/2; rows are the lanes' addresses.
func sharedRecords(rows []uint32) []uint32 {
	var records []uint32
	for lane := range warp {
		records = append(records, rows[lane])
		for i := range uint32(8) {
			n := (uint32(lane)*8 + i) * 2
			records = append(records, n|(n+1)<<16)
		}
	}
	return records
}

// fragments are the registers that the layout and the addresses give.
func fragments(rows []uint32, matrices int, l layout) []uint32 {
	var want []uint32
	for lane := range warp {
		for j := range matrices {
			low, high := l(lane, 0), l(lane, 1)
			at := func(e element) uint32 { return rows[8*j+e.row]/2 + uint32(e.column) }
			want = append(want, at(low)|at(high)<<16)
		}
	}
	return want
}

// rowsAnywhere are 32 of the 64 rows of 16 bytes, in any order: "Consecutive
// instances of row need not be stored contiguously in memory".
func rowsAnywhere(r *rand.Rand) []uint32 {
	rows := make([]uint32, warp)
	for i, slot := range r.Perm(64)[:warp] {
		rows[i] = uint32(slot) * 16
	}
	return rows
}

func equal(a, b []uint32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestManualLdmatrix(t *testing.T) {
	r := rand.New(rand.NewSource(16))
	for _, trans := range []bool{false, true} {
		l, other := layout(ldmatrixPlain), layout(ldmatrixTrans)
		if trans {
			l, other = other, l
		}
		for _, matrices := range []int{1, 2, 4} {
			rows := rowsAnywhere(r)
			got := loads(matrices, trans).run(t, sharedRecords(rows))
			name := fmt.Sprintf("x%d trans %v", matrices, trans)
			if want := fragments(rows, matrices, l); !equal(got, want) {
				t.Errorf("%s:\n%#x\nby the manual\n%#x", name, got, want)
			}
			swap := func(a, b int) []uint32 {
				s := append([]uint32(nil), rows...)
				s[a], s[b] = s[b], s[a]
				return s
			}
			wrong := map[string][]uint32{
				"the other of plain and .trans": fragments(rows, matrices, other),
				"halves exchanged":              fragments(rows, matrices, l.exchanged(0, 1)),
				"lanes 6 and 7 exchanged":       fragments(rows, matrices, l.lanesExchanged(6, 7)),
				"lanes 3 and 12 exchanged":      fragments(rows, matrices, l.lanesExchanged(3, 12)),
				"addresses 0 and 1 exchanged":   fragments(swap(0, 1), matrices, l),
			}
			if matrices > 1 {
				wrong["addresses 7 and 8 exchanged"] = fragments(swap(7, 8), matrices, l)
			}
			if matrices > 2 {
				wrong["addresses 15 and 16 exchanged"] = fragments(swap(15, 16), matrices, l)
				wrong["addresses 23 and 31 exchanged"] = fragments(swap(23, 31), matrices, l)
			}
			for misreading, want := range wrong {
				if equal(got, want) {
					t.Errorf("%s: nothing here tells the manual from %s", name, misreading)
				}
			}
		}
	}
}

// "For .target sm_75 or below, all threads must contain valid addresses": on
// sm_80 the lanes from 8 (.x1) or 16 (.x2) on may hold anything.
func TestManualLdmatrixIgnoresOtherAddresses(t *testing.T) {
	r := rand.New(rand.NewSource(17))
	for _, matrices := range []int{1, 2} {
		rows := rowsAnywhere(r)
		given := append([]uint32(nil), rows...)
		for lane := 8 * matrices; lane < warp; lane++ {
			given[lane] = 0x7ffffff3
		}
		if got := loads(matrices, false).run(t, sharedRecords(given)); !equal(got, fragments(rows, matrices, ldmatrixPlain)) {
			t.Errorf("x%d reads the addresses of lanes that have no row", matrices)
		}
	}
}

// "The matrix addresses must be naturally aligned accordingly": to 16 bytes.
func TestManualLdmatrixAlignment(t *testing.T) {
	for _, by := range []uint32{2, 4, 8} {
		rows := rowsAnywhere(rand.New(rand.NewSource(18)))
		rows[5] = 64 + by
		_, err := loads(1, false).launch(t, sharedRecords(rows))
		reported(t, err, fmt.Sprintf("a row at 64+%d", by))
	}
}

// What the two tables mean together: the four matrices of a 16 x 16 tile, in
// the order of the addresses below, are the registers of A, and two matrices
// of a row-major B with .trans those of B.
func TestManualLdmatrixFeedsMMA(t *testing.T) {
	for lane := range warp {
		for i := range 8 {
			j := i / 2
			e := ldmatrixPlain(lane, i&1)
			if got := (element{e.row + j%2*8, e.column + j/2*8}); got != mmaA(lane, i) {
				t.Errorf("lane %d: A's element %d is %v, ldmatrix.x4 loads %v", lane, i, mmaA(lane, i), got)
			}
		}
		for i := range 4 {
			e := ldmatrixTrans(lane, i&1)
			if got := (element{e.row + i/2*8, e.column}); got != mmaB(lane, i) {
				t.Errorf("lane %d: B's element %d is %v, ldmatrix.x2.trans loads %v", lane, i, mmaB(lane, i), got)
			}
		}
	}
}
