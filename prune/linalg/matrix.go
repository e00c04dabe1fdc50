// Package linalg is dense algebra in float64 for pruning by second moments:
// Gram matrices, least squares, inverses. A matrix of 4096 columns is usual, so
// products run on a micro-kernel over packed panels, on all cores.
//
// Every element of a product is one chain of fused multiply-adds that starts
// from what the element held and goes through k in ascending order. Blocks of k
// continue the chain through memory, which loses nothing, so sizes of blocks
// leave no trace. A Cholesky factor and a triangular solve are such chains too.
// Goroutines share out elements and never cut a chain. So results are the same
// bits for any number of threads, for assembly and for portable Go.
//
// Sizes that do not agree are a bug of the caller and panic.
package linalg

import "fmt"

//go:generate go run ./gen

// A Matrix is Rows×Cols float64, row-major, Stride apart. Parts of matrices are
// matrices that share Data.
type Matrix struct {
	Rows, Cols, Stride int
	Data               []float64
}

// New is a matrix of zeros.
func New(rows, cols int) Matrix {
	return Matrix{rows, cols, cols, make([]float64, rows*cols)}
}

// At is element (i,j).
func (m Matrix) At(i, j int) float64 { return m.Row(i)[j] }

// Set makes x element (i,j).
func (m Matrix) Set(i, j int, x float64) { m.Row(i)[j] = x }

// Row is row i, [Cols], in the memory of m.
func (m Matrix) Row(i int) []float64 { return m.Data[i*m.Stride:][:m.Cols:m.Cols] }

// Clone is a copy of m with rows side by side.
func (m Matrix) Clone() Matrix { return Select(m, nil, nil) }

// Select is a copy of a[rows][:,cols], [len(rows), len(cols)]; nil is all of
// them. Places may repeat and come in any order.
func Select(a Matrix, rows, cols []int) Matrix {
	n, k := len(rows), len(cols)
	if rows == nil {
		n = a.Rows
	}
	if cols == nil {
		k = a.Cols
	}
	s := New(n, k)
	for i := range n {
		from := i
		if rows != nil {
			from = rows[i]
		}
		gather(s.Row(i), a.Row(from), cols)
	}
	return s
}

// gather is to = from[places], or from itself where places is nil.
func gather(to, from []float64, places []int) {
	if places == nil {
		copy(to, from)
		return
	}
	for j, p := range places {
		to[j] = from[p]
	}
}

// want panics unless m is rows×cols and its rows lie within its data.
func (m Matrix) want(name string, rows, cols int) {
	if m.Rows != rows || m.Cols != cols {
		panic(fmt.Sprintf("bug: %s is %d×%d, want %d×%d", name, m.Rows, m.Cols, rows, cols))
	}
	if rows > 0 && cols > 0 && (m.Stride < cols || len(m.Data) < (rows-1)*m.Stride+cols) {
		panic(fmt.Sprintf("bug: %s, %d×%d with stride %d, holds only %d values", name, rows, cols, m.Stride, len(m.Data)))
	}
}
