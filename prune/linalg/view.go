package linalg

// A view is a matrix whose element (i,j) is data[at + i·down + j·right]. Steps
// may be negative: a transposed or reversed matrix is a view like any other, so
// that one product and one triangular solve serve all cases.
type view struct {
	data       []float64
	at         int
	rows, cols int
	down       int
	right      int
}

func (m Matrix) view() view { return view{m.Data, 0, m.Rows, m.Cols, m.Stride, 1} }

func (v view) index(i, j int) int { return v.at + i*v.down + j*v.right }

// part is rows×cols of v from element (i,j) on.
func (v view) part(i, j, rows, cols int) view {
	return view{v.data, v.index(i, j), rows, cols, v.down, v.right}
}

func (v view) transpose() view {
	return view{v.data, v.at, v.cols, v.rows, v.right, v.down}
}

// upsideDown is v with its last row first.
func (v view) upsideDown() view {
	return view{v.data, v.index(v.rows-1, 0), v.rows, v.cols, -v.down, v.right}
}

// turned is v with its last element first. Turned, an upper triangle is a lower
// one and back substitution is forward substitution.
func (v view) turned() view {
	return v.upsideDown().transpose().upsideDown().transpose()
}
