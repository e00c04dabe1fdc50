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
	e.compute(product{c: c, a: a, b: b, alpha: alpha})
}

// addLower is add for the lower triangle of a square c.
func (e engine) addLower(c view, alpha float64, a, b view) {
	e.compute(product{c: c, a: a, b: b, alpha: alpha, lower: true})
}

// A product is c += alpha·a·b.
type product struct {
	c, a, b   view
	alpha     float64
	lower     bool // of c only the lower triangle
	symmetric bool // which is copied to the upper one in the end
}

// compute cuts a product into slabs. Those of one block of c run one after the
// other, k ascending.
func (e engine) compute(p product) {
	e = e.sized(p.c.rows, p.c.cols, p.a.cols)
	s := slabs.Get().(*slab)
	defer slabs.Put(s)
	for i := 0; i < p.c.rows; i += slabWidth {
		for j := 0; j < p.c.cols && (j <= i || !p.lower); j += slabWidth {
			for k := 0; k < p.a.cols; k += slabDepth {
				s.set(e.kernels, p, i, j, k)
				s.run(e)
			}
		}
	}
	s.product, s.mirror = product{}, view{} // lend no memory of the caller's on
}

// A slab is a part of a product that fits in caches.
type slab struct {
	kernels
	product
	diagonal int  // elements (i,j) with j > i+diagonal are not computed
	mirror   view // where element (j,i) is a copy of (i,j) of c
	depth    int
	packedA  []float64
	packedB  []float64
}

// slabs are lent by one product to the next: their memory is megabytes.
var slabs = sync.Pool{New: func() any { return new(slab) }}

// set makes s the slab of p that begins at (i,j) of c and at k.
func (s *slab) set(with kernels, p product, i, j, k int) {
	rows, cols, depth := min(slabWidth, p.c.rows-i), min(slabWidth, p.c.cols-j), min(slabDepth, p.a.cols-k)
	s.kernels, s.product, s.depth = with, p, depth
	s.c, s.a, s.b = p.c.part(i, j, rows, cols), p.a.part(i, k, rows, depth), p.b.part(k, j, depth, cols)
	s.diagonal = everywhere
	if p.lower {
		s.diagonal = i - j
	}
	s.symmetric = p.symmetric && k+depth == p.a.cols
	if s.symmetric {
		s.mirror = p.c.part(j, i, cols, rows)
	}
}

// run packs both operands, then multiplies.
func (s *slab) run(e engine) {
	left, right := panels(s.a.rows, tileRows), panels(s.b.cols, tileCols)
	s.packedA = resized(s.packedA, left*tileRows*s.depth)
	s.packedB = resized(s.packedB, right*tileCols*s.depth)
	first := panels(left, packed)
	e.each(first+panels(right, packed), func(task int) {
		if task < first {
			s.packSome(s.packedA, s.a.transpose(), tileRows, task*packed, s.alpha)
		} else {
			s.packSome(s.packedB, s.b, tileCols, (task-first)*packed, 1)
		}
	})
	down, across := panels(s.c.rows, blockRows), panels(s.c.cols, blockCols)
	e.each(down*across, func(task int) {
		// The lowest rows are the longest of a triangle and go first.
		s.block((down-1-task/across)*blockRows, task%across*blockCols)
	})
}

// packSome packs panels from first on.
func (s *slab) packSome(to []float64, v view, width, first int, scale float64) {
	for p := first; p < min(first+packed, panels(v.cols, width)); p++ {
		s.kernels.pack(to[p*width*v.rows:], v.part(0, p*width, v.rows, min(width, v.cols-p*width)), width, scale)
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
		if s.symmetric {
			s.mirrorStrip(j, first, bottom)
		}
	}
}

// tile computes one tile, aside where C or its triangle ends within it.
func (s *slab) tile(i, j int, aside []float64) {
	a, b := s.packedA[i*s.depth:], s.packedB[j*s.depth:]
	if i+tileRows <= s.c.rows && j+tileCols <= s.c.cols && j+tileCols-1 <= i+s.diagonal {
		s.multiply(s.depth, a, b, s.c.data, s.c.index(i, j), s.c.down)
		return
	}
	rows := min(tileRows, s.c.rows-i)
	for r := range rows {
		copy(aside[r*tileCols:], s.rowWithin(i+r, j))
	}
	s.multiply(s.depth, a, b, aside, 0, tileCols)
	for r := range rows {
		copy(s.rowWithin(i+r, j), aside[r*tileCols:])
	}
}

// rowWithin is what is wanted of row i of a tile whose first column is j.
func (s *slab) rowWithin(i, j int) []float64 {
	n := max(0, min(tileCols, s.c.cols-j, i+s.diagonal-j+1))
	return s.c.data[s.c.index(i, j):][:n]
}
