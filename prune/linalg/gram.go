package linalg

// AddGram is H += XᵀX for x [n,k], h [k,k]. It reads the lower triangle of h and
// leaves h symmetric. A call reads and writes all of h: give it some hundred
// rows at once.
func AddGram(h, x Matrix) { machine().addGram(h, x) }

func (e engine) addGram(h, x Matrix) {
	x.want("X", x.Rows, x.Cols)
	h.want("H", x.Cols, x.Cols)
	if x.Rows == 0 {
		e.mirror(h.view())
		return
	}
	e.gram(h.view(), x.view())
}

// gram is h += xᵀ·x for x of one row or more.
func (e engine) gram(h, x view) {
	e.compute(product{c: h, a: x.transpose(), b: x, alpha: 1, lower: true, symmetric: true})
}

// mirror copies the lower triangle to the upper one.
func (e engine) mirror(h view) {
	for i := range h.rows {
		move(h.part(0, i, i, 1), h.part(i, 0, 1, i).transpose(), 1)
	}
}

// mirrorStrip copies the rows first to bottom-1 of tile column j, as far as they
// are below the diagonal, to where they belong above it. It does so while they
// are in cache.
func (s *slab) mirrorStrip(j, first, bottom int) {
	cols := min(tileCols, s.c.cols-j)
	for ; first < bottom && first+s.diagonal < j+cols; first++ {
		n := max(0, first+s.diagonal-j)
		move(s.mirror.part(j, first, n, 1), s.c.part(first, j, 1, n).transpose(), 1)
	}
	if first >= bottom {
		return
	}
	from, to := s.c.part(first, j, bottom-first, cols), s.mirror.part(j, first, cols, bottom-first).transpose()
	if cols == tileCols {
		s.moveWide(to, from, 1)
		return
	}
	move(to, from, 1)
}
