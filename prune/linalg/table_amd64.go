package linalg

import "golang.org/x/sys/cpu"

// best are the kernels of this machine.
var best = choose()

func choose() kernels {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return kernels{multiplyVector, solveVector}
	}
	return portable
}

// The functions below touch the ends of each operand first: a wrong size panics
// here.

func multiplyVector(k int, a, b, c []float64, at, stride int) {
	if k == 0 {
		return
	}
	last := at + (tileRows-1)*stride // before at where stride is negative
	_, _, _, _ = c[at], c[at+tileCols-1], c[last], c[last+tileCols-1]
	_, _ = a[k*tileRows-1], b[k*tileCols-1]
	multiplyAVX2(&a[0], &b[0], k, &c[at], 8*stride)
}

func solveVector(l, x []float64) {
	_, _ = l[tileRows*tileRows-1], x[tileSize-1]
	solveAVX2(&l[0], &x[0])
}
