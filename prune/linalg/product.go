package linalg

import (
	"math"
	"sync"
)

// Products are blocked as in K. Goto and R. van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008. A slab is
// slabDepth steps of k; of it, a panel of B stays in the first-level cache while
// it meets a block of A, which stays in the second; all of B is in the third.
const (
	slabDepth = 256
	slabWidth = 4080          // most rows of A and columns of B in a slab; a multiple of both sides of a tile
	blockRows = 12 * tileRows // of a task
	blockCols = 64 * tileCols // of a task
	packed    = 16            // panels that a task packs

	everywhere = math.MaxInt / 2 // a diagonal with nothing above it
)

// AddProduct is C += alpha·op(A)·op(B), where op transposes if told to:
// op(A) [n,k], op(B) [k,m], c [n,m]. alpha·a is rounded before it is multiplied.
// c shares no memory with a or b.
func AddProduct(c Matrix, alpha float64, a, b Matrix, transA, transB bool) {
	machine().addProduct(c, alpha, a, b, transA, transB)
}

// AddCross is G += XᵀY for x [n,k], y [n,m], g [k,m].
func AddCross(g, x, y Matrix) { AddProduct(g, 1, x, y, true, false) }

func (e engine) addProduct(c Matrix, alpha float64, a, b Matrix, transA, transB bool) {
	left, right := a.view(), b.view()
	if transA {
		left = left.transpose()
	}
	if transB {
		right = right.transpose()
	}
	a.want("A", a.Rows, a.Cols)
	b.want("B", b.Rows, b.Cols)
	if left.cols != right.rows {
		panic("bug: op(A) has not as many columns as op(B) has rows")
	}
	c.want("C", left.rows, right.cols)
	e.add(c.view(), alpha, left, right)
}

// add is c += alpha·a·b. Rows or columns of c lie without gaps.
func (e engine) add(c view, alpha float64, a, b view) {
	if c.right != 1 {
		c, a, b = c.transpose(), b.transpose(), a.transpose()
	}
	e.addUpTo(everywhere, c, alpha, a, b)
}

// addLower is add for a square c of which the lower triangle is wanted. Above
// it, c holds anything afterwards.
func (e engine) addLower(c view, alpha float64, a, b view) { e.addUpTo(0, c, alpha, a, b) }

// addUpTo leaves out most of the elements (i,j) with j > i+diagonal.
func (e engine) addUpTo(diagonal int, c view, alpha float64, a, b view) {
	e = e.sized(c.rows, c.cols, a.cols)
	for i := 0; i < c.rows; i += slabWidth {
		rows := min(slabWidth, c.rows-i)
		for j := 0; j < min(c.cols, i+rows+diagonal); j += slabWidth {
			cols := min(slabWidth, c.cols-j)
			for k := 0; k < a.cols; k += slabDepth {
				depth := min(slabDepth, a.cols-k)
				e.addSlab(i-j+diagonal, c.part(i, j, rows, cols), alpha, a.part(i, k, rows, depth), b.part(k, j, depth, cols))
			}
		}
	}
}

// A slab is a product that fits in caches, packed.
type slab struct {
	kernels
	c        view
	depth    int
	diagonal int // elements (i,j) with j > i+diagonal are not wanted
	a, b     []float64
}

// slabs are lent by one product to the next: their memory is megabytes.
var slabs = sync.Pool{New: func() any { return new(slab) }}

func (e engine) addSlab(diagonal int, c view, alpha float64, a, b view) {
	s := slabs.Get().(*slab)
	defer slabs.Put(s)
	s.kernels, s.c, s.depth, s.diagonal = e.kernels, c, a.cols, diagonal
	s.pack(e, alpha, a, b)
	down, right := panels(c.rows, blockRows), panels(c.cols, blockCols)
	e.each(down*right, func(task int) {
		// The lowest rows are the longest of a triangle and go first.
		s.block((down-1-task/right)*blockRows, task%right*blockCols)
	})
	s.c.data = nil // must not outlive the product
}

// pack packs both operands.
func (s *slab) pack(e engine, alpha float64, a, b view) {
	left, right := panels(a.rows, tileRows), panels(b.cols, tileCols)
	s.a = resized(s.a, left*tileRows*s.depth)
	s.b = resized(s.b, right*tileCols*s.depth)
	first := panels(left, packed)
	e.each(first+panels(right, packed), func(task int) {
		if task < first {
			packSome(s.a, a.transpose(), tileRows, task*packed, alpha)
		} else {
			packSome(s.b, b, tileCols, (task-first)*packed, 1)
		}
	})
}

// packSome packs panels from first on.
func packSome(to []float64, v view, width, first int, scale float64) {
	for p := first; p < min(first+packed, panels(v.cols, width)); p++ {
		pack(to[p*width*v.rows:], v.part(0, p*width, v.rows, min(width, v.cols-p*width)), width, scale)
	}
}

// resized is b with n values, which may be any.
func resized(b []float64, n int) []float64 {
	if cap(b) < n {
		return make([]float64, n)
	}
	return b[:n]
}

// block computes the block of C whose first element is (top,left), a panel of B
// after the other, each with all panels of A.
func (s *slab) block(top, left int) {
	aside := make([]float64, tileSize)
	bottom := min(top+blockRows, s.c.rows)
	for j := left; j < min(left+blockCols, s.c.cols, bottom+s.diagonal); j += tileCols {
		first := top
		if j > top+s.diagonal { // leave out tiles above the diagonal
			first += (j - s.diagonal - top) / tileRows * tileRows
		}
		for i := first; i < bottom; i += tileRows {
			s.tile(i, j, aside)
		}
	}
}

// tile computes one tile, aside where C ends within it.
func (s *slab) tile(i, j int, aside []float64) {
	a, b := s.a[i*s.depth:], s.b[j*s.depth:]
	if i+tileRows <= s.c.rows && j+tileCols <= s.c.cols {
		s.multiply(s.depth, a, b, s.c.data, s.c.index(i, j), s.c.down)
		return
	}
	part := s.c.part(i, j, min(tileRows, s.c.rows-i), min(tileCols, s.c.cols-j))
	for r := range part.rows {
		copy(aside[r*tileCols:][:part.cols], part.data[part.index(r, 0):])
	}
	s.multiply(s.depth, a, b, aside, 0, tileCols)
	unpack(part, aside, tileCols)
}
