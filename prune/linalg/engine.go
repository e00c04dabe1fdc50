package linalg

import (
	"runtime"

	"etc/fault"
)

const (
	tileRows = 6 // of the block of C that a micro-kernel holds in registers
	tileCols = 8
	tileSize = tileRows * tileCols
)

// An engine is what computes: kernels and a number of threads. Neither changes
// a result.
type engine struct {
	kernels
	threads int
}

// kernels are the functions that a machine may have instructions for.
type kernels struct {
	// multiply is c[6,8] += aᵀ·b for packed a [k,6] and b [k,8]. The block of c
	// begins at c[at], its rows are stride apart.
	multiply func(k int, a, b, c []float64, at, stride int)
	// solve is x := l⁻¹·x for x [6,8] and l as packTriangle leaves it, [6,6].
	solve func(l, x []float64)
	// copyRows is to[n,width] = scale·from for width 6 or 8. The first row of
	// from begins at from[at], rows are stride apart.
	copyRows func(width, n int, scale float64, from []float64, at, stride int, to []float64)
	// transposeSquares makes each of n > 0 squares the other, transposed, times scale.
	transposeSquares func(n int, scale float64, from, to squares)
}

// machine is the engine of this machine.
func machine() engine { return engine{best, runtime.GOMAXPROCS(0)} }

// tooSmall is the number of multiply-adds that one thread has done before
// another would have started.
const tooSmall = 1 << 17

// sized is e, on one thread where the work is so many multiply-adds and few.
func (e engine) sized(rows, cols, depth int) engine {
	if rows*cols*depth < tooSmall {
		e.threads = 1
	}
	return e
}

// each calls f for 0 to n-1 in any order. Threads take what comes next when
// they are ready for it: tasks are of different sizes, and so is the share of a
// core that this process gets.
func (e engine) each(n int, f func(i int)) {
	if min(e.threads, n) > 1 {
		fault.ParallelOn(e.threads, n, f)
		return
	}
	for i := range n {
		f(i)
	}
}
