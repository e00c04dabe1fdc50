// Package sparse finds structure in the zeros of a matrix and takes matrices
// apart along it.
//
// Tensors enter; which rows and columns are zero, what a sparse form would
// keep, and tensors of the rows and columns that remain leave. Zero means
// exactly +0 or -0, whatever the dtype: nothing here has a threshold. Inputs
// may be views of a mapped file and are never written; what keeps all of its
// input, or rows that stand together, is a view of it.
package sparse

import (
	"encoding/binary"
	"fmt"

	"etc/ir/tensor"
)

// A matrix is a float tensor as rows of equal bytes. A vector is a matrix of
// one column.
type matrix struct {
	data []byte
	n, k int
	size int // bytes of an element
}

func matrixOf(t tensor.Tensor) matrix {
	if !t.DType.IsFloat() || len(t.Shape) < 1 || len(t.Shape) > 2 {
		panic(fmt.Sprintf("bug: sparse: %v is no float matrix or vector", t))
	}
	m := matrix{t.Data, t.Shape[0], 1, t.DType.Size()}
	if len(t.Shape) == 2 {
		m.k = t.Shape[1]
	}
	return m
}

func (m matrix) row(i int) []byte { return m.data[i*m.k*m.size : (i+1)*m.k*m.size] }

// magnitude masks the sign bits of the elements in eight bytes, by element size.
var magnitude = [9]uint64{2: 0x7fff7fff7fff7fff, 4: 0x7fffffff7fffffff, 8: 1<<63 - 1}

// allZero reports whether every element in b is +0 or -0.
func allZero(b []byte, size int) bool {
	mask := magnitude[size]
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&mask != 0 {
			return false
		}
		b = b[8:]
	}
	var tail [8]byte // elements are no longer than the mask, so they keep their place in it
	copy(tail[:], b)
	return binary.LittleEndian.Uint64(tail[:])&mask == 0
}

// AllZero reports whether a float tensor holds nothing but zeros.
func AllZero(t tensor.Tensor) bool { return allZero(t.Data, t.DType.Size()) }

// ZeroRows marks the rows of a matrix, or elements of a vector, that hold
// nothing but zeros. A row costs only its elements up to the first that is not.
func ZeroRows(t tensor.Tensor) []bool {
	m := matrixOf(t)
	zero := make([]bool, m.n)
	for i := range zero {
		zero[i] = allZero(m.row(i), m.size)
	}
	return zero
}

// ZeroColumns marks the columns of a matrix that hold nothing but zeros. Only
// columns without an element so far are looked at in each row, so a matrix
// without zero columns costs little more than its first row.
func ZeroColumns(t tensor.Tensor) []bool {
	m := matrixOf(t)
	zero, open := make([]bool, m.k), make([]int, m.k)
	for j := range open {
		zero[j], open[j] = true, j
	}
	for i := range m.n {
		row, still := m.row(i), open[:0]
		for _, j := range open {
			if allZero(row[j*m.size:(j+1)*m.size], m.size) {
				still = append(still, j)
			} else {
				zero[j] = false
			}
		}
		if open = still; len(open) == 0 {
			break
		}
	}
	return zero
}

// Kept lists the indices that are not marked, ascending.
func Kept(zero []bool) []int {
	var kept []int
	for i, z := range zero {
		if !z {
			kept = append(kept, i)
		}
	}
	return kept
}
