// Command etc is the Efficient Transformer Compiler: it prunes, compiles and
// runs transformer encoders. docs/architecture.md shows how data flows.
//
// This package is the one place that composes the others, and the only user
// of cobra and viper. One file holds one command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"etc/fault"
)

// version is set by the linker in a release; it is part of every plan.
var version = "0.1.0"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes of interrupted runs: 128 and the number of the signal.
const (
	exitInterrupt = 130
	exitTerminate = 143
)

// run runs one command line and returns its exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) (code int) {
	ctx, caught, stop := withSignals()
	defer stop()
	p := &program{in: in, out: out, err: errOut}
	defer p.discardUnfinished()
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(errOut, "etc: %v\n", fault.Recovered(r))
			code = int(fault.Internal)
		}
	}()
	err := p.execute(ctx, args)
	if signaled := caught(); signaled != nil && err != nil {
		fmt.Fprintf(errOut, "etc: interrupted (%v); nothing unfinished was left\n", signaled)
		if signaled == syscall.SIGTERM {
			return exitTerminate
		}
		return exitInterrupt
	}
	return report(errOut, err)
}

// report prints err for a person and returns its exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, syscall.EPIPE) {
		return int(fault.Internal) // whoever read our output has gone
	}
	fmt.Fprintf(w, "etc: %s\n", strings.TrimSpace(err.Error()))
	return int(fault.KindOf(err))
}

// withSignals cancels the context on SIGINT and SIGTERM. A second signal ends
// the process at once.
func withSignals() (ctx context.Context, caught func() os.Signal, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	var mu sync.Mutex
	var got os.Signal
	task := fault.Go(func() error {
		select {
		case s := <-c:
			mu.Lock()
			got = s
			mu.Unlock()
			signal.Reset()
			cancel()
		case <-ctx.Done():
		}
		return nil
	})
	caught = func() os.Signal {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
	return ctx, caught, func() { signal.Stop(c); cancel(); task.Wait() }
}
