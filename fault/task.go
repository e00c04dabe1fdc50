package fault

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A Task is a goroutine that cannot crash the process. All goroutines of etc
// start through Go or Parallel, because Go's own crash code is 2, which means wrong usage.
type Task struct{ done chan error }

// Go runs f in a goroutine; a panic in it becomes the error of Wait.
func Go(f func() error) *Task {
	t := &Task{make(chan error, 1)}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				t.done <- Recovered(r)
			}
		}()
		t.done <- f()
	}()
	return t
}

// Wait returns what f returned. It may be called once.
func (t *Task) Wait() error { return <-t.done }

// Parallel calls f for 0 to n-1, as many at once as there are threads of Go's,
// and waits for all: calls may not wait for each other. A panic in one is a
// panic of the caller once those that run have ended, and so is a fault in
// mapped memory, which the caller may be guarded against.
func Parallel(n int, f func(i int)) { ParallelOn(runtime.GOMAXPROCS(0), n, f) }

// ParallelOn is Parallel with up to so many calls at once.
func ParallelOn(threads, n int, f func(i int)) {
	var wait sync.WaitGroup
	var next atomic.Int64
	panics := make([]any, min(n, threads))
	for worker := range panics {
		wait.Go(func() {
			defer func() {
				if panics[worker] = recover(); panics[worker] != nil {
					next.Store(int64(n)) // nobody begins another
				}
			}()
			debug.SetPanicOnFault(true)
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
}

// Recovered makes an error of what recover returned, with the stack.
func Recovered(r any) error {
	if err, ok := r.(error); ok {
		return fmt.Errorf("internal error: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
}
