package linalg

import "math"

// portable are the kernels in Go. Where a machine has no fused multiply-add,
// math.FMA emulates it: slow, and the same bits.
var portable = kernels{multiplyPortable, solvePortable}

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
