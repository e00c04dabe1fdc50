package pool

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// one runs one step as one chain.
func (p *Pool) one(n int, fn func(worker, task int)) {
	begun := false
	p.Run(1, func(int) Step {
		if begun {
			return Step{}
		}
		begun = true
		return Step{Tasks: n, Job: Func(fn)}
	})
}

// through has the tasks of all steps done by one function.
func (p *Pool) through(n int, next func(chain int) int, do func(worker, chain, task int)) {
	jobs := make([]Func, n)
	for c := range jobs {
		jobs[c] = func(worker, task int) { do(worker, c, task) }
	}
	p.Run(n, func(c int) Step { return Step{Tasks: next(c), Job: jobs[c]} })
}

func TestEachTaskRunsOnce(t *testing.T) {
	for threads := 1; threads <= 5; threads++ {
		p := New(threads)
		for _, n := range []int{0, 1, 2, 3, 7, 64, 1000} {
			for range 50 {
				ran := make([]int, n) // not atomic: the race detector sees a missing order
				busy := make([]atomic.Bool, threads)
				p.one(n, func(worker, task int) {
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
		p.one(3, func(worker, task int) {
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
	for _, publish := range []func(p *Pool){func(p *Pool) { p.count.Store(1); p.chains[0].state.Store(1) }, func(p *Pool) { p.closed.Store(true) }} {
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
			p.one(40, func(worker, task int) {
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
		p.one(10, func(worker, task int) {}) // the pool goes on
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
		p.one(2, func(worker, task int) {
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
	var at [40]int
	do := Func(func(worker, task int) { sum.Add(1) })
	next := func(chain int) Step {
		at[chain]++
		return Step{Tasks: (4 - at[chain]) * 3, Job: do} // 9, 6 and 3 tasks
	}
	if n := testing.AllocsPerRun(200, func() {
		clear(at[:])
		p.Run(len(at), next)
	}); n != 0 {
		t.Errorf("%g allocations a Run", n)
	}
	if want := int64(201 * 40 * 18); sum.Load() != want {
		t.Errorf("%d tasks ran, want %d", sum.Load(), want)
	}
}

// TestStepsFollowEachOther: a task sees what all tasks of the step before it in
// its chain wrote, next never overlaps with tasks of its chain, and every step
// of every chain runs. Values are not atomic: the race detector sees a missing order.
func TestStepsFollowEachOther(t *testing.T) {
	const steps, width = 20, 5
	for threads := 1; threads <= 4; threads++ {
		p := New(threads)
		for _, chains := range []int{1, 2, 3, 17, MaxChains} {
			at := make([]int, chains)
			sums := make([][steps + 1][width]int, chains)
			p.through(chains, func(c int) int {
				at[c]++
				if at[c] > 1 {
					for i, v := range sums[c][at[c]-1] {
						if v != i+at[c]-1 {
							t.Errorf("%d threads, chain %d of %d: value %d of step %d is %d", threads, c, chains, i, at[c]-1, v)
						}
					}
				}
				if at[c] > steps {
					return 0
				}
				return 1 + (at[c]+c)%width // the last task does what the missing ones would
			}, func(worker, c, task int) {
				s := at[c]
				last := task
				if task == (s+c)%width {
					last = width - 1
				}
				for i := task; i <= last; i++ {
					sums[c][s][i] = sums[c][s-1][i] + 1
					if s == 1 {
						sums[c][s][i] = i + 1
					}
				}
			})
			for c := range at {
				if at[c] != steps+1 {
					t.Fatalf("%d threads: chain %d of %d began %d steps", threads, c, chains, at[c])
				}
			}
		}
		p.Close()
	}
}

// TestChainsDoNotWaitForEachOther: a worker held up in a task of one chain
// holds up that chain alone; the other worker ends all others.
func TestChainsDoNotWaitForEachOther(t *testing.T) {
	p := New(2)
	defer p.Close()
	const chains, steps = 6, 10
	var at [chains]int
	var ended atomic.Int32
	release := make(chan struct{})
	p.through(chains, func(c int) int {
		if at[c]++; at[c] <= steps {
			return 3
		}
		if ended.Add(1) == chains-1 {
			close(release)
		}
		return 0
	}, func(worker, c, task int) {
		if c == 0 && at[c] == 2 && task == 1 {
			select {
			case <-release:
			case <-time.After(20 * time.Second):
				t.Error("chains wait for one whose worker is held up")
			}
		}
	})
}

// TestIdleWorkersHelp: of one chain left, all workers share the tasks.
func TestIdleWorkersHelp(t *testing.T) {
	p := New(3)
	defer p.Close()
	var at [2]int
	var met atomic.Int32
	p.through(2, func(c int) int {
		if at[c]++; at[c] == 1 || c == 1 && at[c] == 2 {
			return 3
		}
		return 0
	}, func(worker, c, task int) {
		if c == 1 && at[c] == 2 { // all three at once, or never
			met.Add(1)
			for end := time.Now().Add(20 * time.Second); met.Load() < 3; runtime.Gosched() {
				if time.Now().After(end) {
					t.Error("a worker does not help")
					return
				}
			}
		}
	})
}

// TestWorkersKeepTheirChains, which stay in their caches: one thread goes
// through one chain after another.
func TestWorkersKeepTheirChains(t *testing.T) {
	p := New(1)
	defer p.Close()
	var at [3]int
	var order []int
	p.through(len(at), func(c int) int {
		at[c]++
		return 2 * (4 - at[c])
	}, func(_, c, _ int) { order = append(order, c) })
	if len(order) != 3*12 || !slices.IsSorted(order) {
		t.Errorf("tasks of chains in the order %v", order)
	}
}

// TestNothingBeginsAfterAPanic, neither a task nor a step.
func TestNothingBeginsAfterAPanic(t *testing.T) {
	p := New(1)
	defer p.Close()
	var at [3]int
	ran := 0
	if got := recovered(func() {
		p.through(len(at), func(c int) int {
			at[c]++
			return 2 * (4 - at[c])
		}, func(_, c, _ int) {
			if ran++; ran == 8 {
				panic("eighth task")
			}
		})
	}); got != "eighth task" {
		t.Fatalf("Run panicked with %v", got)
	}
	if ran != 8 || at != [3]int{2, 1, 1} {
		t.Errorf("%d tasks ran, chains began %v steps", ran, at)
	}
}

// TestPanicOfNext ends the request too.
func TestPanicOfNext(t *testing.T) {
	p := New(2)
	defer p.Close()
	at := make([]int, 4)
	if got := recovered(func() {
		p.through(4, func(c int) int {
			if at[c]++; at[c] == 3 && c == 2 {
				panic("third step")
			}
			return 2 * (10 - at[c])
		}, func(worker, c, task int) {})
	}); got != "third step" {
		t.Fatalf("Run panicked with %v", got)
	}
	p.one(10, func(worker, task int) {}) // the pool goes on
}

// TestWithoutAsyncPreemption runs collections while workers spin, in a process
// where only yielding lets the world stop.
func TestWithoutAsyncPreemption(t *testing.T) {
	if os.Getenv("POOL_TEST_CHILD") == "1" {
		p := New(3)
		for range 30 {
			p.one(6, func(worker, task int) {
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
	begun := false
	p.Run(1, func(int) Step { // patience goes with its step
		defer func() { begun = true }()
		if begun {
			return Step{}
		}
		return Step{3, Func(func(worker, task int) {}), time.Hour}
	})
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
				p.one(8, fn)
			}
		})
	}
}
