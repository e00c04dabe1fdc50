package linalg

import "golang.org/x/sys/cpu"

// best are the kernels of this machine.
var best = choose()

func choose() kernels {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return kernels{multiplyVector, solveVector, copyRowsVector, transposeVector}
	}
	return portable
}

const wordBytes = 8

// The functions below touch the ends of each operand first: a wrong size panics
// here.

func multiplyVector(k int, a, b, c []float64, at, stride int) {
	if k == 0 {
		return
	}
	last := at + (tileRows-1)*stride // before at where stride is negative
	_, _, _, _ = c[at], c[at+tileCols-1], c[last], c[last+tileCols-1]
	_, _ = a[k*tileRows-1], b[k*tileCols-1]
	multiplyAVX2(&a[0], &b[0], k, &c[at], wordBytes*stride)
}

func solveVector(l, x []float64) {
	_, _ = l[tileRows*tileRows-1], x[tileSize-1]
	solveAVX2(&l[0], &x[0])
}

func copyRowsVector(width, n int, scale float64, from []float64, at, stride int, to []float64) {
	if n == 0 {
		return
	}
	last := at + (n-1)*stride
	_, _, _, _ = from[at], from[at+width-1], from[last], from[last+width-1]
	_ = to[n*width-1]
	if width == tileCols {
		copy8AVX2(n, scale, &from[at], wordBytes*stride, &to[0])
	} else {
		copy6AVX2(n, scale, &from[at], wordBytes*stride, &to[0])
	}
}

func transposeVector(n int, scale float64, from, to squares) {
	_, _, _, _ = from.data[from.at], from.data[from.end(n)], to.data[to.at], to.data[to.end(n)]
	transposeAVX2(n, scale, &from.data[from.at], wordBytes*from.stride, wordBytes*from.step,
		&to.data[to.at], wordBytes*to.stride, wordBytes*to.step)
}
