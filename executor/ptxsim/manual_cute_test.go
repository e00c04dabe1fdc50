package ptxsim_test

import "testing"

// A cute layout is one of CUTLASS's: a mixed-radix index times strides, of
// the lane and of the value within the lane.
type cute struct {
	laneShape, laneStride   []int
	valueShape, valueStride []int
}

// at is the number that the layout gives to a lane's value.
func (c cute) at(lane, value int) int {
	return dot(lane, c.laneShape, c.laneStride) + dot(value, c.valueShape, c.valueStride)
}

func dot(index int, shape, stride []int) int {
	sum := 0
	for i, n := range shape {
		sum += index % n * stride[i]
		index /= n
	}
	return sum
}

// The tables of these tests against a second source of NVIDIA's: the traits
// of CUTLASS (include/cute/atom/mma_traits_sm80.hpp and copy_traits_sm75.hpp,
// as docs/verification.md quotes them). Matrices are numbered column by
// column for mma, bit by bit along rows for ldmatrix.
func TestManualTablesAgreeWithCute(t *testing.T) {
	perLane := []int{4, 8}
	a := cute{perLane, []int{32, 1}, []int{2, 2, 2}, []int{16, 8, 128}}
	b := cute{perLane, []int{16, 1}, []int{2, 2}, []int{8, 64}}
	c := cute{perLane, []int{32, 1}, []int{2, 2}, []int{16, 8}}
	plain := cute{[]int{32}, []int{32}, []int{32, 4}, []int{1, 1024}}
	trans := cute{perLane, []int{256, 16}, []int{16, 2, 4}, []int{1, 128, 1024}}
	for lane := range warp {
		for i := range 8 {
			if e := mmaA(lane, i); a.at(lane, i) != e.row+16*e.column {
				t.Errorf("A: lane %d element %d is %v, CUTLASS has number %d", lane, i, e, a.at(lane, i))
			}
		}
		for i := range 4 {
			if e := mmaB(lane, i); b.at(lane, i) != e.column+8*e.row {
				t.Errorf("B: lane %d element %d is %v, CUTLASS has number %d", lane, i, e, b.at(lane, i))
			}
			if e := mmaC(lane, i); c.at(lane, i) != e.row+16*e.column {
				t.Errorf("C: lane %d element %d is %v, CUTLASS has number %d", lane, i, e, c.at(lane, i))
			}
		}
		for i := range 8 { // element i&1 of matrix i/2, of 16 bits, in rows of 128
			bit := func(e element) int { return i/2*1024 + e.row*128 + e.column*16 }
			if e := ldmatrixPlain(lane, i&1); plain.at(lane, 16*i) != bit(e) {
				t.Errorf("ldmatrix: lane %d element %d is %v, CUTLASS has bit %d", lane, i, e, plain.at(lane, 16*i))
			}
			if e := ldmatrixTrans(lane, i&1); trans.at(lane, 16*i) != bit(e) {
				t.Errorf("ldmatrix.trans: lane %d element %d is %v, CUTLASS has bit %d", lane, i, e, trans.at(lane, 16*i))
			}
		}
	}
}
