package linalg

import "sync"

const (
	solveWhole  = 192 // most rows of a triangle that is solved without a product
	solveShared = 4   // panels of right sides of a task
	aligned     = 24  // a multiple of both sides of a tile: halves are cut there
)

// half is about n/2, n > aligned, where tiles end.
func half(n int) int { return (n/2 + aligned - 1) / aligned * aligned }

// solveLower is b := l⁻¹·b for a lower triangle l [n,n] and b [n,m]. What is
// above the triangle is not read. Each element is one chain:
// x_i = (b_i - l_i0·x_0 - … - l_i,i-1·x_i-1) / l_ii.
func (e engine) solveLower(l, b view) {
	if l.rows <= solveWhole {
		e.solvePacked(l, b)
		return
	}
	h := half(l.rows)
	rest := l.rows - h
	upper, lower := b.part(0, 0, h, b.cols), b.part(h, 0, rest, b.cols)
	e.solveLower(l.part(0, 0, h, h), upper)
	e.add(lower, -1, l.part(h, 0, rest, h), upper)
	e.solveLower(l.part(h, h, rest, rest), lower)
}

// solvePacked solves eight right sides at a time: six rows of them, less the
// product with the rows above, by the triangle of these six.
func (e engine) solvePacked(l, b view) {
	n := panels(l.rows, tileRows)
	triangle := borrow(trianglePanel(n))
	defer triangles.Put(triangle)
	e.packTriangle(*triangle, l)
	count := panels(b.cols, tileCols)
	e.sized(l.rows, l.rows, b.cols).each(panels(count, solveShared), func(task int) {
		x := borrow(n * tileSize)
		defer triangles.Put(x)
		for p := task * solveShared; p < min((task+1)*solveShared, count); p++ {
			e.solvePanel(*triangle, *x, b.part(0, p*tileCols, b.rows, min(tileCols, b.cols-p*tileCols)))
		}
	})
}

// solvePanel solves b [n, ≤8] in x, a panel of whole tiles. Rows that are not
// there hold anything; no row depends on one below it.
func (e kernels) solvePanel(triangle, x []float64, b view) {
	e.pack(x, b, tileCols, 1)
	for i := range panels(b.rows, tileRows) {
		rows := triangle[trianglePanel(i):]
		e.multiply(i*tileRows, rows, x, x, i*tileSize, tileCols)
		e.solve(rows[i*tileRows*tileRows:], x[i*tileSize:])
	}
	e.unpack(b, x)
}

// triangles is memory that one solve lends to the next.
var triangles = sync.Pool{New: func() any { return new([]float64) }}

// borrow is n values, which may be any, of triangles.
func borrow(n int) *[]float64 {
	b := triangles.Get().(*[]float64)
	*b = resized(*b, n)
	return b
}

// trianglePanel is where panel i of a packed triangle begins: panel i goes to
// the diagonal, (i+1)·6 steps of k.
func trianglePanel(i int) int { return i * (i + 1) / 2 * tileRows * tileRows }

// packTriangle packs six rows of l at a time, negated, since solving takes
// products away, except for the diagonal, by which it divides.
func (e kernels) packTriangle(triangle []float64, l view) {
	for i := range panels(l.rows, tileRows) {
		top := i * tileRows
		rows := min(tileRows, l.rows-top)
		panel := triangle[trianglePanel(i):]
		e.pack(panel, l.part(top, 0, rows, top+rows).transpose(), tileRows, -1)
		for r := range rows {
			panel[(top+r)*tileRows+r] = l.data[l.index(top+r, top+r)]
		}
	}
}
