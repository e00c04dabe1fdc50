package linalg

import "math"

// portable are the kernels in Go. Where a machine has no fused multiply-add,
// math.FMA emulates it: slow, and the same bits.
var portable = kernels{multiplyPortable, solvePortable, copyRowsPortable, transposePortable}

func multiplyPortable(k int, a, b, c []float64, at, stride int) {
	for i := range tileRows {
		row := (*[tileCols]float64)(c[at+i*stride:])
		for s := range k {
			x := a[s*tileRows+i]
			for j, y := range b[s*tileCols:][:tileCols] {
				row[j] = math.FMA(x, y, row[j])
			}
		}
	}
}

func solvePortable(l, x []float64) {
	for i := range tileRows {
		row := x[i*tileCols:][:tileCols]
		for j := range row {
			row[j] /= l[i*tileRows+i]
		}
		for r := i + 1; r < tileRows; r++ {
			below := x[r*tileCols:][:tileCols]
			for j, y := range row {
				below[j] = math.FMA(l[i*tileRows+r], y, below[j])
			}
		}
	}
}

func copyRowsPortable(width, n int, scale float64, from []float64, at, stride int, to []float64) {
	for i := range n {
		row := to[i*width:][:width]
		for j, x := range from[at+i*stride:][:width] {
			row[j] = scale * x
		}
	}
}

func transposePortable(n int, scale float64, from, to squares) {
	for range n {
		for i := range square {
			for j := range square {
				to.data[to.at+j*to.stride+i] = scale * from.data[from.at+i*from.stride+j]
			}
		}
		from.at += from.step
		to.at += to.step
	}
}
