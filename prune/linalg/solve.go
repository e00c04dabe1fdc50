package linalg

// SolveCholesky is B := (L·Lᵀ)⁻¹·B for l [k,k] of Cholesky and b [k,m]: forward
// substitution, k ascending, then back substitution, k descending.
func SolveCholesky(l, b Matrix) { machine().solveCholesky(l, b) }

func (e engine) solveCholesky(l, b Matrix) {
	l.want("L", l.Rows, l.Rows)
	b.want("B", l.Rows, b.Cols)
	e.solveLower(l.view(), b.view())
	e.solveLower(l.view().transpose().turned(), b.view().upsideDown())
}

// InvertCholesky is (L·Lᵀ)⁻¹ for l [k,k] of Cholesky, symmetric: L⁻ᵀ·L⁻¹.
func InvertCholesky(l Matrix) Matrix { return machine().invertCholesky(l) }

func (e engine) invertCholesky(l Matrix) Matrix {
	l.want("L", l.Rows, l.Rows)
	x, h := New(l.Rows, l.Rows), New(l.Rows, l.Rows)
	e.invertLower(x.view(), l.view())
	// Rows of x end at the diagonal, and so does what they add to h. The last
	// ones reach all of h and leave it symmetric.
	for top := 0; top < l.Rows; top += slabDepth {
		end := min(top+slabDepth, l.Rows)
		e.gram(h.view().part(0, 0, end, end), x.view().part(top, 0, end-top, end))
	}
	return h
}

// invertLower is x := l⁻¹ for x of zeros: a column of x is solved from the
// diagonal down, and of the right side only the one on the diagonal is there.
func (e engine) invertLower(x, l view) {
	if l.rows <= solveWhole {
		for i := range l.rows {
			x.data[x.index(i, i)] = 1
		}
		e.solvePacked(l, x)
		return
	}
	h := half(l.rows)
	rest := l.rows - h
	upper, below := x.part(0, 0, h, h), x.part(h, 0, rest, h)
	left := l.part(h, h, rest, rest)
	e.invertLower(upper, l.part(0, 0, h, h))
	for j := 0; j < h; j += slabDepth { // columns of upper begin at the diagonal
		cols := min(slabDepth, h-j)
		e.add(below.part(0, j, rest, cols), -1, l.part(h, j, rest, h-j), upper.part(j, j, h-j, cols))
	}
	e.solveLower(left, below)
	e.invertLower(x.part(h, h, rest, rest), left)
}
