package fault

import (
	"fmt"
	"runtime/debug"
	"sync"
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

// Parallel calls f for 0 to n-1 on goroutines of their own and waits for all.
// A panic in one is a panic of the caller, and so is a fault in mapped memory,
// which the caller may be guarded against.
func Parallel(n int, f func(i int)) {
	var wait sync.WaitGroup
	panics := make([]any, n)
	for i := range n {
		wait.Go(func() {
			defer func() { panics[i] = recover() }()
			debug.SetPanicOnFault(true)
			f(i)
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
