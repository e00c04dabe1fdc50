package interp

import (
	"runtime"

	"etc/fault"
)

// smallWork is the number of multiplications below which a goroutine costs
// more than it saves.
const smallWork = 1 << 16

// parallel calls f for ranges that cover [0, n), each at work multiplications
// an index, on all processors. Ranges share nothing, so results do not depend
// on how many there are. A panic in f is a panic of parallel.
func parallel(n, work int, f func(lo, hi int)) {
	parts := min(runtime.GOMAXPROCS(0), n, n*work/smallWork)
	if parts <= 1 {
		f(0, n)
		return
	}
	fault.Parallel(parts, func(p int) { f(n*p/parts, n*(p+1)/parts) })
}
