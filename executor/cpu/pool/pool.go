// Package pool runs the tasks of one step on a fixed set of threads.
//
// Steps last from microseconds up, and waking a sleeping thread takes about a
// hundred of them, so workers spin for a while after each step and sleep only
// when nothing follows. Tasks are claimed one by one from a counter: a worker
// that the system or the collector takes off its CPU costs its share of the
// work and no more. Every spin loop yields to the Go scheduler and to the
// system, so that a stop of the world, or another process, is never kept
// waiting for a thread that only waits itself.
//
// The invariant: when Run returns, each task has run once, no task is running,
// and what the tasks wrote is visible. Run allocates nothing.
package pool

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"etc/fault"
)

const (
	// spinRounds is how many rounds a worker looks for work before it sleeps:
	// about 0.2 ms, well above the time between two steps of one request.
	spinRounds = 4000
	// yieldRounds is how often a spin loop yields.
	yieldRounds = 32
)

// A Pool is the calling thread and its helpers. One Run at a time.
type Pool struct {
	workers []worker
	ended   []*fault.Task

	// The job, written by Run before left, read after a claim from left.
	fn func(worker, task int)
	n  int

	_       [64]byte     // the counters below change all the time: a cache line of their own each
	left    atomic.Int64 // tasks not claimed; below zero after claims in vain
	_       [64]byte
	pending atomic.Int64 // tasks not done
	_       [64]byte
	failure atomic.Pointer[failure]
	closed  atomic.Bool
}

// A failure is the first panic of a job.
type failure struct{ value any }

type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [64]byte
}

// New makes a pool of threads ≥ 1, the caller of Run among them.
func New(threads int) *Pool {
	p := &Pool{workers: make([]worker, max(1, threads))}
	for i := 1; i < len(p.workers); i++ {
		p.workers[i].wake = make(chan struct{}, 1)
		p.ended = append(p.ended, fault.Go(func() error { p.serve(i); return nil }))
	}
	return p
}

// Threads is the number of threads; worker numbers are below it.
func (p *Pool) Threads() int { return len(p.workers) }

// Run calls fn for each task from 0 to n-1, on any worker, and returns when
// all are done. If one panics, those not begun are left out and Run panics
// with the same value in its caller's goroutine.
func (p *Pool) Run(n int, fn func(worker, task int)) {
	if n <= 0 {
		return
	}
	p.fn, p.n = fn, n
	p.pending.Store(int64(n))
	p.left.Store(int64(n))
	p.wake(min(n, len(p.workers)) - 1)
	for p.claim(0) {
	}
	for round := 1; p.pending.Load() > 0; round++ {
		spin(round)
	}
	p.fn = nil
	if f := p.failure.Swap(nil); f != nil {
		panic(f.value)
	}
}

// wake wakes up to n sleeping workers.
func (p *Pool) wake(n int) {
	for i := 1; i <= n; i++ {
		p.workers[i].rouse()
	}
}

func (w *worker) rouse() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// claim runs one task, if one is left. A claim that succeeds belongs to the
// job being run, however late its worker comes: that job cannot end before.
func (p *Pool) claim(worker int) bool {
	if p.left.Load() <= 0 {
		return false
	}
	left := p.left.Add(-1)
	if left < 0 {
		return false
	}
	p.run(worker, p.n-1-int(left))
	return true
}

func (p *Pool) run(worker, task int) {
	defer p.pending.Add(-1)
	if p.failure.Load() != nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			p.failure.CompareAndSwap(nil, &failure{r})
		}
	}()
	p.fn(worker, task)
}

// serve is the life of worker i. Tasks read mapped weights: where such a page
// is gone, the fault becomes a panic, which Run carries to its caller.
func (p *Pool) serve(i int) {
	debug.SetPanicOnFault(true)
	for round := 1; !p.closed.Load(); round++ {
		switch {
		case p.claim(i):
			round = 0
		case round < spinRounds:
			spin(round)
		default:
			p.sleep(&p.workers[i])
			round = 0
		}
	}
}

// sleep parks the worker until there is work. It looks for work once more
// after it has said that it sleeps: Run publishes first and looks then.
func (p *Pool) sleep(w *worker) {
	w.asleep.Store(true)
	if (p.left.Load() > 0 || p.closed.Load()) && w.asleep.CompareAndSwap(true, false) {
		return
	}
	<-w.wake
}

// spin is one round of waiting.
func spin(round int) {
	pause()
	if round%yieldRounds == 0 {
		runtime.Gosched()
		yield()
	}
}

// Close ends the workers. No Run may follow.
func (p *Pool) Close() {
	p.closed.Store(true)
	for i := 1; i < len(p.workers); i++ {
		p.workers[i].rouse()
	}
	for _, t := range p.ended {
		if err := t.Wait(); err != nil {
			panic("bug: pool: " + err.Error())
		}
	}
	p.ended = nil
}
