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
// Of a single row all threads need the last task of each step, and the thread that
// has it may be off its CPU for milliseconds. So a step may say how long its tasks
// can be expected to take: after that a thread that waits takes over those that are
// held, and does them again on a copy (Job.Again) of what they read and write. The chain
// goes on there; whoever held them ends them on the old one, where nobody looks.
//
// The invariant: when Run returns, each task has run once, or more than once where
// it was taken over, on copies of which the last counts; what the tasks wrote is visible,
// and no task is running but those that were taken over (Settle waits for these). A task
// sees what the steps before it in its chain wrote. Run allocates nothing.
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
	next   func(chain int) Step
	single bool // one chain

	chains  [MaxChains]chain
	_       [64]byte // what follows changes now and then: cache lines of their own
	count   atomic.Int32
	fresh   atomic.Int32 // the first chain that no worker has taken for its own
	_       [64]byte
	open    atomic.Int32 // chains that are not at their end
	_       [64]byte
	failure atomic.Pointer[failure]
	closed  atomic.Bool
	taking  atomic.Bool  // a worker takes tasks over
	stale   atomic.Int32 // workers at tasks that were taken over
}

// A Step is tasks 0 to Tasks-1 of a job, in any order and at once; no tasks are
// the end of a chain.
type Step struct {
	Tasks int
	Job   Job
	// Patience is how long a worker without work waits for the tasks of others before it
	// takes them over; 0: for ever, as where there are several chains.
	Patience time.Duration
}

// A Job does the tasks of a step.
type Job interface {
	// Do does a task on a worker.
	Do(worker, task int)
	// Again is the job on a copy of all that its tasks and the steps after it read. The
	// tasks that were taken over may be running still on what the job has, and do so after
	// the request has ended; the others are done. Only jobs of steps with patience are
	// asked, and not before all tasks are over that were taken over earlier.
	Again() Job
}

// A Func is a job of steps without patience.
type Func func(worker, task int)

func (f Func) Do(worker, task int) { f(worker, task) }
func (f Func) Again() Job          { panic("bug: pool: a task without patience is taken over") }

// A chain is at one step of its own.
type chain struct {
	// state is the number of the step, which never comes again, above the tasks
	// that are not claimed.
	state   atomic.Uint64
	_       [56]byte
	tasks   int          // of the step; written before state, read after a claim
	job     Job          // likewise
	pending atomic.Int32 // tasks not done
	// patience is that of the step, in ns: of the step in state if that is the same
	// before and after.
	patience atomic.Int64
	_        [24]byte
}

const taskBits = 32

// A failure is the first panic of a request.
type failure struct{ value any }

type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
	own    int32         // the chain it looks at first
	held   atomic.Uint64 // the step's number above the task that it works on, if that may be taken over; else 0
	taken  []uint32      // tasks that it takes over
	_      [64]byte
}

// New makes a pool of threads ≥ 1, the caller of Run among them.
func New(threads int) *Pool {
	p := &Pool{workers: make([]worker, max(1, threads))}
	for i := range p.workers {
		p.workers[i].taken = make([]uint32, 0, len(p.workers))
	}
	for i := 1; i < len(p.workers); i++ {
		p.workers[i].wake = make(chan struct{}, 1)
		p.ended = append(p.ended, fault.Go(func() error { p.serve(i); return nil }))
	}
	return p
}

// Threads is the number of threads; worker numbers are below it.
func (p *Pool) Threads() int { return len(p.workers) }

// Run goes through chains 0 to chains-1, at most MaxChains. next begins a step
// of a chain. Calls of next for one chain never overlap, nor do they with its
// tasks. If one panics, what has not begun is left out and Run panics with the
// same value in its caller's goroutine.
func (p *Pool) Run(chains int, next func(chain int) Step) {
	if chains <= 0 {
		return
	}
	p.next, p.single = next, chains == 1
	p.open.Store(int32(chains))
	tasks := 0
	for i := range chains {
		tasks += p.begin(i)
	}
	p.fresh.Store(0)
	p.count.Store(int32(chains))
	p.wake(tasks - 1)
	for s := (spinner{}); p.open.Load() > 0; {
		if p.work(0) || p.takeOver(0, s.spun) {
			s = spinner{}
		} else {
			s.spin()
		}
	}
	p.count.Store(0)
	p.next = nil
	if f := p.failure.Swap(nil); f != nil {
		panic(f.value)
	}
}

// begin publishes the next step of a chain, whose tasks are all done, or ends
// it. It returns how many tasks the step has.
func (p *Pool) begin(i int) int {
	c := &p.chains[i]
	s := p.nextStep(i)
	if s.Tasks <= 0 {
		c.job = nil
		c.patience.Store(0)
		p.open.Add(-1)
		return 0
	}
	c.tasks, c.job = s.Tasks, s.Job
	if p.single {
		c.patience.Store(int64(s.Patience))
	}
	c.pending.Store(int32(s.Tasks))
	c.state.Store((c.state.Load()>>taskBits+1)<<taskBits | uint64(s.Tasks))
	return s.Tasks
}

// nextStep is next, no step once something has panicked.
func (p *Pool) nextStep(i int) (s Step) {
	defer func() {
		if r := recover(); r != nil {
			p.fail(r)
			s = Step{}
		}
	}()
	if p.failure.Load() != nil {
		return Step{}
	}
	return p.next(i)
}

func (p *Pool) fail(value any) { p.failure.CompareAndSwap(nil, &failure{value}) }

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
// cannot end before, unless the worker has said that it holds the task and another
// has taken it over.
func (p *Pool) claim(worker, i int) bool {
	c := &p.chains[i]
	for {
		s := c.state.Load()
		left := s & (1<<taskBits - 1)
		if left == 0 {
			return false
		}
		if c.state.CompareAndSwap(s, s-1) {
			job, task := c.job, c.tasks-int(left)
			if c.patience.Load() == 0 {
				p.end(i, 1, p.run(worker, job, task))
				return true
			}
			held, own := &p.workers[worker].held, s>>taskBits<<taskBits|uint64(task)
			held.Store(own)
			if r := p.run(worker, job, task); held.CompareAndSwap(own, 0) {
				p.end(i, 1, r)
			} else {
				p.stale.Add(-1)
			}
			return true
		}
	}
}

// end counts tasks of a chain as done, of which r is the panic, if any.
func (p *Pool) end(i, tasks int, r any) {
	if r != nil {
		p.fail(r)
	}
	if p.chains[i].pending.Add(int32(-tasks)) == 0 {
		p.wake(p.begin(i) - 1)
	}
}

// run does a task and returns its panic.
func (p *Pool) run(worker int, job Job, task int) (r any) {
	if p.failure.Load() != nil {
		return nil
	}
	defer func() { r = recover() }()
	job.Do(worker, task)
	return nil
}

// takeOver does the tasks that others hold of a step whose patience is over.
func (p *Pool) takeOver(worker int, waited time.Duration) bool {
	if waited == 0 {
		return false
	}
	c := &p.chains[0]
	s := c.state.Load()
	if patience := time.Duration(c.patience.Load()); patience == 0 || waited < patience ||
		s&(1<<taskBits-1) != 0 || c.pending.Load() == 0 || !p.taking.CompareAndSwap(false, true) {
		return false
	}
	defer p.taking.Store(false)
	if p.stale.Load() != 0 { // asked here, where nobody else can take over meanwhile
		return false
	}
	w := &p.workers[worker]
	w.taken = w.taken[:0]
	if !p.take(worker, uint32(s>>taskBits)) {
		return false
	}
	// The step cannot end now. Whoever has a task of it still has said so or will, or has done it.
	for s := (spinner{}); int(c.pending.Load()) > len(w.taken); s.spin() {
		p.take(worker, uint32(c.state.Load()>>taskBits))
	}
	p.end(0, len(w.taken), p.again(worker, c.job, w.taken))
	return true
}

// take takes what others hold of a step of the one chain there is, and reports
// whether that is anything.
func (p *Pool) take(worker int, step uint32) (some bool) {
	w := &p.workers[worker]
	for i := range p.workers {
		held := &p.workers[i].held
		own := held.Load()
		if i == worker || own == 0 || uint32(own>>taskBits) != step {
			continue
		}
		p.stale.Add(1)
		if held.CompareAndSwap(own, 0) {
			w.taken = append(w.taken, uint32(own))
			some = true
		} else {
			p.stale.Add(-1)
		}
	}
	return some
}

// again does tasks on a copy of their job.
func (p *Pool) again(worker int, job Job, tasks []uint32) (r any) {
	defer func() {
		if v := recover(); v != nil {
			r = v
		}
	}()
	copied := job.Again()
	for _, t := range tasks {
		if r := p.run(worker, copied, int(t)); r != nil {
			return r
		}
	}
	return nil
}

// Settle waits until no worker is at a task that was taken over. No Run may be under way.
func (p *Pool) Settle() {
	for s := (spinner{}); p.stale.Load() != 0; s.spin() {
	}
}

// serve is the life of worker i. Tasks read mapped weights: where such a page
// is gone, the fault becomes a panic, which Run carries to its caller.
func (p *Pool) serve(i int) {
	debug.SetPanicOnFault(true)
	for s := (spinner{}); !p.closed.Load(); {
		switch {
		case p.work(i), p.takeOver(i, s.spun):
			s = spinner{}
		case s.spin() > p.wakefulness():
			if !p.takeOver(i, s.spun) { // it may have been off its CPU all that time
				p.sleep(&p.workers[i])
			}
			s = spinner{}
		}
	}
}

// wakefulness is how long a worker looks for work before it sleeps: long enough to
// take over what is held.
func (p *Pool) wakefulness() time.Duration {
	return max(spinTime, 2*time.Duration(p.chains[0].patience.Load()))
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
