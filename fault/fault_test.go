package fault_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"etc/fault"
)

func TestKindIsThatOfTheFirstFaultInTheChain(t *testing.T) {
	corrupt := fault.Newf(fault.Corrupt, "row 3: %w", io.ErrUnexpectedEOF)
	for _, c := range []struct {
		err  error
		want fault.Kind
	}{
		{corrupt, fault.Corrupt},
		{fmt.Errorf("file x: %w", corrupt), fault.Corrupt},
		{fault.Newf(fault.Usage, "flag: %w", corrupt), fault.Usage},
		{errors.Join(io.EOF, corrupt), fault.Corrupt},
		{io.EOF, fault.Internal},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("%q: kind %d, want %d", c.err, got, c.want)
		}
	}
	if !errors.Is(corrupt, io.ErrUnexpectedEOF) {
		t.Error("the wrapped error is lost")
	}
}

func TestHintIsTheSecondLine(t *testing.T) {
	err := fault.Newf(fault.Usage, "no %s", "output").WithHint("-o %s is wanted", "PATH")
	if got, want := err.Error(), "no output\n-o PATH is wanted"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestParallelIsBounded: calls that take memory of their own are no more than threads.
func TestParallelIsBounded(t *testing.T) {
	atOnce := func(run func(f func(int))) int64 {
		var now, most atomic.Int64
		run(func(int) {
			n := now.Add(1)
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
		})
		return most.Load()
	}
	if n, threads := atOnce(func(f func(int)) { fault.Parallel(64, f) }), runtime.GOMAXPROCS(0); n > int64(threads) {
		t.Errorf("%d calls at once, want at most %d", n, threads)
	}
	for threads := 1; threads < 5; threads++ {
		if n := atOnce(func(f func(int)) { fault.ParallelOn(threads, 64, f) }); n > int64(threads) {
			t.Errorf("%d calls at once, want at most %d", n, threads)
		}
	}
}

func TestParallelCallsEachAndCarriesAPanic(t *testing.T) {
	const n = 9
	var called [n]bool
	fault.Parallel(n, func(i int) { called[i] = true })
	if called != [n]bool{true, true, true, true, true, true, true, true, true} {
		t.Errorf("called %v, want all", called)
	}
	defer func() {
		if r := recover(); r != "bug: seven" {
			t.Errorf("recovered %v", r)
		}
	}()
	fault.Parallel(n, func(i int) {
		if i == 7 {
			panic("bug: seven")
		}
	})
	t.Error("no panic")
}

func TestTaskTurnsAPanicIntoAnError(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		what string
		f    func() error
		is   error
		text string
	}{
		{"a panic with an error", func() error { panic(boom) }, boom, "internal error: boom"},
		{"a panic with a text", func() error { panic("bug: odd") }, nil, "internal error: bug: odd"},
		{"an error", func() error { return boom }, boom, "boom"},
	} {
		err := fault.Go(c.f).Wait()
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := fault.Go(func() error { return nil }).Wait(); err != nil {
		t.Errorf("no error: %v", err)
	}
}
