package linalg

// Micro-kernels read panels: for each k the six or eight values side by side
// that the kernel multiplies with, one k after the other. Where a matrix has
// fewer columns left, the panel holds zeros, whose sums nobody reads.

// panels is the number of panels that n columns fill or begin.
func panels(n, width int) int { return (n + width - 1) / width }

// pack writes v [k, ≤width], times scale, into a panel [k, width].
func pack(panel []float64, v view, width int, scale float64) {
	switch {
	case v.rows == 0:
	case v.cols < width:
		clear(panel[:v.rows*width])
		packColumns(panel, v, width, scale)
	case v.right != 1:
		packColumns(panel, v, width, scale)
	case scale != 1:
		packRows(panel, v, width, scale)
	case width == tileCols:
		for k := range v.rows {
			*(*[tileCols]float64)(panel[k*tileCols:]) = [tileCols]float64(v.data[v.index(k, 0):])
		}
	default:
		for k := range v.rows {
			*(*[tileRows]float64)(panel[k*tileRows:]) = [tileRows]float64(v.data[v.index(k, 0):])
		}
	}
}

func packRows(panel []float64, v view, width int, scale float64) {
	for k := range v.rows {
		to := panel[k*width:][:width]
		for j, x := range v.data[v.index(k, 0):][:width] {
			to[j] = scale * x
		}
	}
}

func packColumns(panel []float64, v view, width int, scale float64) {
	for j := range v.cols {
		from := v.index(0, j)
		for to := j; to < v.rows*width; to += width {
			panel[to] = scale * v.data[from]
			from += v.down
		}
	}
}

// unpack is the way back, from a panel [k, width] to v [k, ≤width].
func unpack(v view, panel []float64, width int) {
	if v.right == 1 {
		for k := range v.rows {
			copy(v.data[v.index(k, 0):][:v.cols], panel[k*width:])
		}
		return
	}
	for j := range v.cols {
		to := v.index(0, j)
		for from := j; from < v.rows*width; from += width {
			v.data[to] = panel[from]
			to += v.down
		}
	}
}
