package linalg

// Micro-kernels read panels: for each k the six or eight values side by side
// that the kernel multiplies with, one k after the other. Where a matrix has
// fewer columns left, the panel holds zeros, whose sums nobody reads.

// panels is the number of panels that n columns fill or begin.
func panels(n, width int) int { return (n + width - 1) / width }

// pack writes v [k, ≤width], times scale, into a panel [k, width].
func (e kernels) pack(panel []float64, v view, width int, scale float64) {
	panel = panel[:v.rows*width]
	switch {
	case v.rows == 0:
	case v.cols < width:
		clear(panel)
		move(view{panel, 0, v.rows, v.cols, width, 1}, v, scale)
	case v.right == 1:
		e.copyRows(width, v.rows, scale, v.data, v.at, v.down, panel)
	default:
		e.moveWide(view{panel, 0, v.rows, width, width, 1}, v, scale)
	}
}

// unpack is the way back, from a panel [k, 8] to v [k, ≤8].
func (e kernels) unpack(v view, panel []float64) {
	switch {
	case v.right == 1:
		for k := range v.rows {
			copy(v.data[v.index(k, 0):][:v.cols], panel[k*tileCols:])
		}
	case v.cols < tileCols:
		move(v, view{panel, 0, v.rows, v.cols, tileCols, 1}, 1)
	default:
		e.moveWide(v, view{panel, 0, v.rows, tileCols, tileCols, 1}, 1)
	}
}

// moveWide is move for views of six or eight columns, of which one lies by
// rows and the other, where it is fast, by columns: squares are transposed,
// those of six columns two of which overlap.
func (e kernels) moveWide(to, from view, scale float64) {
	whole := 0
	if to.right*from.down == 1 || to.down*from.right == 1 {
		whole = from.rows / square
	}
	if whole > 0 {
		for _, j := range []int{0, from.cols - square} {
			e.transposeSquares(whole, scale, squaresOf(from, j), squaresOf(to, j))
		}
	}
	done := whole * square
	move(to.part(done, 0, to.rows-done, to.cols), from.part(done, 0, from.rows-done, from.cols), scale)
}

// move is to = scale·from, value by value.
func move(to, from view, scale float64) {
	for j := range from.cols {
		at, source := to.index(0, j), from.index(0, j)
		for range from.rows {
			to.data[at] = scale * from.data[source]
			at += to.down
			source += from.down
		}
	}
}

// square is the side of the squares that are transposed in registers.
const square = 4

// squares are 4×4 values one after the other: the first begins at data[at],
// its four lines are stride apart, and the next square is step further.
type squares struct {
	data             []float64
	at, stride, step int
}

// squaresOf are those of v down from row 0, columns j to j+3.
func squaresOf(v view, j int) squares {
	s := squares{v.data, v.index(0, j), v.down, square * v.down}
	if v.down == 1 {
		s.stride = v.right
	}
	return s
}

// end is the last value of n squares.
func (s squares) end(n int) int { return s.at + (n-1)*s.step + (square-1)*s.stride + square - 1 }
