// Package pool runs the tasks of a request on a fixed set of threads.
//
// A request is one chain of steps, or several: the tasks of a step begin when
// those of the step before it in its chain are done, and chains do not know
// each other. Many rows make many chains, which threads take one each and go
// through without waiting for anybody; a single row is one chain, whose tasks
// all threads share. A thread that has no chain of its own helps with the
// others'.
//
// Steps last from microseconds up, and waking a sleeping thread takes about a
// hundred of them, so workers spin between the steps of a request and sleep
// when nothing follows. Tasks are claimed one by one, and whoever ends the last
// task of a step begins the next one: a worker that the system or the collector
// takes off its CPU holds up the one task it has, and no more. Every spin loop
// yields to the Go scheduler and, when it lasts, to the system, so that a stop of
// the world, or another process, is never kept waiting for a thread that only
// waits itself.
//
// The invariant: when Run returns, each task has run once, no task is running,
// and what the tasks wrote is visible; a task sees what the steps before it in
// its chain wrote. Run allocates nothing.
package pool

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"etc/fault"
)

const (
	// spinTime is how long a worker looks for work before it sleeps: well above
	// the time between two steps of one request.
	spinTime = 300 * time.Microsecond
	// yieldTime is how long a spin loop lasts before it gives its CPU away, again
	// and again: a thread that yields loses it for some milliseconds where another
	// process wants it, many times what the end of a step keeps others waiting.
	yieldTime = 50 * time.Microsecond
	// spinRounds is how often a spin loop looks at the clock and yields to the
	// Go scheduler.
	spinRounds = 32
)

// MaxChains is the most chains of one Run.
const MaxChains = 256

// A Pool is the calling thread and its helpers. One Run at a time.
type Pool struct {
	workers []worker
	ended   []*fault.Task

	// The request, written by Run before the first step is published, read after
	// a claim of one of its tasks.
	next func(chain int) int
	do   func(worker, chain, task int)

	chains  [MaxChains]chain
	_       [64]byte // what follows changes now and then: cache lines of their own
	count   atomic.Int32
	fresh   atomic.Int32 // the first chain that no worker has taken for its own
	_       [64]byte
	open    atomic.Int32 // chains that are not at their end
	_       [64]byte
	failure atomic.Pointer[failure]
	closed  atomic.Bool
}

// A chain is at one step of its own.
type chain struct {
	// state is the number of the step, which never comes again, above the tasks
	// that are not claimed.
	state   atomic.Uint64
	_       [56]byte
	tasks   int          // of the step; written before state, read after a claim
	pending atomic.Int32 // tasks not done
	_       [48]byte
}

const taskBits = 32

// A failure is the first panic of a request.
type failure struct{ value any }

type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
	own    int32 // the chain it looks at first
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

// Run goes through chains 0 to chains-1, at most MaxChains. next begins a step
// of a chain and says how many tasks it has, 0 at the end of the chain; do does
// one of them. Calls of next for one chain never overlap, nor do they with its
// tasks. If one panics, what has not begun is left out and Run panics with the
// same value in its caller's goroutine.
func (p *Pool) Run(chains int, next func(chain int) int, do func(worker, chain, task int)) {
	if chains <= 0 {
		return
	}
	p.next, p.do = next, do
	p.open.Store(int32(chains))
	tasks := 0
	for i := range chains {
		tasks += p.begin(i)
	}
	p.fresh.Store(0)
	p.count.Store(int32(chains))
	p.wake(tasks - 1)
	for s := (spinner{}); p.open.Load() > 0; {
		if p.work(0) {
			s = spinner{}
		} else {
			s.spin()
		}
	}
	p.count.Store(0)
	p.next, p.do = nil, nil
	if f := p.failure.Swap(nil); f != nil {
		panic(f.value)
	}
}

// begin publishes the next step of a chain, whose tasks are all done, or ends
// it. It returns how many tasks the step has.
func (p *Pool) begin(i int) int {
	c := &p.chains[i]
	n := p.nextTasks(i)
	if n <= 0 {
		p.open.Add(-1)
		return 0
	}
	c.tasks = n
	c.pending.Store(int32(n))
	c.state.Store((c.state.Load()>>taskBits+1)<<taskBits | uint64(n))
	return n
}

// nextTasks is next, 0 once something has panicked.
func (p *Pool) nextTasks(i int) (n int) {
	defer func() {
		if r := recover(); r != nil {
			p.failure.CompareAndSwap(nil, &failure{r})
			n = 0
		}
	}()
	if p.failure.Load() != nil {
		return 0
	}
	return p.next(i)
}

// wake wakes up to n sleeping workers.
func (p *Pool) wake(n int) {
	for i := 1; i < len(p.workers) && n > 0; i++ {
		p.workers[i].rouse()
		n--
	}
}

func (w *worker) rouse() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// work runs one task, if there is one: of the worker's own chain, else of one
// that nobody has taken yet, which becomes its own, else of any.
func (p *Pool) work(worker int) bool {
	w := &p.workers[worker]
	if p.claim(worker, int(w.own)) {
		return true
	}
	count := p.count.Load()
	for p.fresh.Load() < count {
		if i := p.fresh.Add(1) - 1; i < count {
			w.own = i
			if p.claim(worker, int(i)) {
				return true
			}
		}
	}
	for i := range int(count) {
		if p.claim(worker, i) {
			return true
		}
	}
	return false
}

// claim runs one task of a chain, if one is left. A claim that succeeds belongs
// to the step that the chain is at, however late its worker comes: that step
// cannot end before.
func (p *Pool) claim(worker, i int) bool {
	c := &p.chains[i]
	for {
		s := c.state.Load()
		left := s & (1<<taskBits - 1)
		if left == 0 {
			return false
		}
		if c.state.CompareAndSwap(s, s-1) {
			p.run(worker, i, c.tasks-int(left))
			if c.pending.Add(-1) == 0 {
				p.wake(p.begin(i) - 1)
			}
			return true
		}
	}
}

func (p *Pool) run(worker, chain, task int) {
	if p.failure.Load() != nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			p.failure.CompareAndSwap(nil, &failure{r})
		}
	}()
	p.do(worker, chain, task)
}

// serve is the life of worker i. Tasks read mapped weights: where such a page
// is gone, the fault becomes a panic, which Run carries to its caller.
func (p *Pool) serve(i int) {
	debug.SetPanicOnFault(true)
	for s := (spinner{}); !p.closed.Load(); {
		switch {
		case p.work(i):
			s = spinner{}
		case s.spin() > spinTime:
			p.sleep(&p.workers[i])
			s = spinner{}
		}
	}
}

// sleep parks the worker until there is work. It looks for work once more
// after it has said that it sleeps: Run publishes first and looks then.
func (p *Pool) sleep(w *worker) {
	w.asleep.Store(true)
	if (p.waiting() || p.closed.Load()) && w.asleep.CompareAndSwap(true, false) {
		return
	}
	<-w.wake
}

// waiting reports whether there is a task that nobody has claimed.
func (p *Pool) waiting() bool {
	for i := range int(p.count.Load()) {
		if p.chains[i].state.Load()&(1<<taskBits-1) != 0 {
			return true
		}
	}
	return false
}

// A spinner waits.
type spinner struct {
	rounds int
	since  time.Time
	spun   time.Duration
}

// spin is one round of waiting; it returns for how long the spinner has waited.
func (s *spinner) spin() time.Duration {
	pause()
	s.rounds++
	switch {
	case s.rounds%spinRounds != 0:
	case s.since.IsZero():
		s.since = time.Now()
		runtime.Gosched()
	default:
		s.spun = time.Since(s.since)
		runtime.Gosched()
		if s.spun > yieldTime {
			yield()
		}
	}
	return s.spun
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
