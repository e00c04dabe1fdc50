package fault

import (
	"fmt"
	"runtime/debug"
)

// A Task is a goroutine that cannot crash the process. All goroutines of etc
// start through Go, because Go's own crash code is 2, which means wrong usage.
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

// Recovered makes an error of what recover returned, with the stack.
func Recovered(r any) error {
	if err, ok := r.(error); ok {
		return fmt.Errorf("internal error: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
}
