package pool

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestEachTaskRunsOnce(t *testing.T) {
	for threads := 1; threads <= 5; threads++ {
		p := New(threads)
		for _, n := range []int{0, 1, 2, 3, 7, 64, 1000} {
			for range 50 {
				ran := make([]int, n) // not atomic: the race detector sees a missing order
				busy := make([]atomic.Bool, threads)
				p.Run(n, func(worker, task int) {
					if busy[worker].Swap(true) {
						t.Error("two tasks at once on one worker")
					}
					ran[task]++
					busy[worker].Store(false)
				})
				for i, c := range ran {
					if c != 1 {
						t.Fatalf("%d threads: task %d of %d ran %d times", threads, i, n, c)
					}
				}
			}
		}
		p.Close()
	}
}

// TestWorkersTakePart: a task that waits for another one ends, and Run waits for all.
func TestWorkersTakePart(t *testing.T) {
	p := New(3)
	defer p.Close()
	for _, rest := range []time.Duration{0, 20 * time.Millisecond} { // spinning, and asleep
		time.Sleep(rest)
		var met, done atomic.Int32
		p.Run(3, func(worker, task int) {
			met.Add(1)
			for met.Load() < 3 {
				runtime.Gosched()
			}
			if worker > 0 {
				time.Sleep(2 * time.Millisecond)
			}
			done.Add(1)
		})
		if done.Load() != 3 {
			t.Fatal("Run returned before its tasks")
		}
	}
}

// TestSleepLooksOnceMore: work published, or the end, between a worker's last
// look and its sleep is not missed.
func TestSleepLooksOnceMore(t *testing.T) {
	for _, publish := range []func(p *Pool){func(p *Pool) { p.left.Store(1) }, func(p *Pool) { p.closed.Store(true) }} {
		p := &Pool{workers: make([]worker, 2)}
		p.workers[1].wake = make(chan struct{}, 1)
		publish(p)
		awake := make(chan struct{})
		go func() { p.sleep(&p.workers[1]); close(awake) }()
		select {
		case <-awake:
		case <-time.After(10 * time.Second):
			t.Fatal("a worker sleeps though there is something to do")
		}
	}
}

func TestPanicReachesTheCaller(t *testing.T) {
	p := New(3)
	defer p.Close()
	for range 100 {
		var ran atomic.Int32
		got := recovered(func() {
			p.Run(40, func(worker, task int) {
				ran.Add(1)
				if task == 2 {
					panic("task two")
				}
			})
		})
		if got != "task two" {
			t.Fatalf("Run panicked with %v", got)
		}
		if ran.Load() > 40 {
			t.Fatalf("%d tasks ran", ran.Load())
		}
		p.Run(10, func(worker, task int) {}) // the pool goes on
	}
}

func recovered(f func()) (r any) {
	defer func() { r = recover() }()
	f()
	return nil
}

// TestFaultInAWorkerIsAPanic: memory that is gone does not end the process,
// whichever worker meets it.
func TestFaultInAWorkerIsAPanic(t *testing.T) {
	p := New(2)
	defer p.Close()
	gone := unreadable(t)
	var met atomic.Int32
	got := recovered(func() {
		p.Run(2, func(worker, task int) {
			for met.Add(1); met.Load() < 2; {
				runtime.Gosched()
			}
			if worker == 1 {
				met.Add(int32(*gone))
			}
		})
	})
	if _, ok := got.(interface{ Addr() uintptr }); !ok {
		t.Fatalf("Run panicked with %v, want a fault with its address", got)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	p := New(2)
	defer p.Close()
	var sum atomic.Int64
	fn := func(worker, task int) { sum.Add(int64(task)) }
	if n := testing.AllocsPerRun(200, func() { p.Run(8, fn) }); n != 0 {
		t.Errorf("%g allocations a Run", n)
	}
}

// TestWithoutAsyncPreemption runs collections while workers spin, in a process
// where only yielding lets the world stop.
func TestWithoutAsyncPreemption(t *testing.T) {
	if os.Getenv("POOL_TEST_CHILD") == "1" {
		p := New(3)
		for range 30 {
			p.Run(6, func(worker, task int) {
				if task == 0 {
					runtime.GC()
				}
			})
			runtime.GC()
		}
		p.Close()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithoutAsyncPreemption$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "POOL_TEST_CHILD=1", "GODEBUG=asyncpreemptoff=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestIdleWorkersSleep(t *testing.T) {
	p := New(3)
	defer p.Close()
	p.Run(3, func(worker, task int) {})
	deadline := time.Now().Add(10 * time.Second)
	for i := 1; i < 3; i++ {
		for !p.workers[i].asleep.Load() {
			if time.Now().After(deadline) {
				t.Fatal("a worker without work still spins")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(strings.Repeat("I", threads), func(b *testing.B) {
			p := New(threads)
			defer p.Close()
			fn := func(worker, task int) {}
			for b.Loop() {
				p.Run(8, fn)
			}
		})
	}
}
