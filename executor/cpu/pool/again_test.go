package pool

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

const (
	tableSteps = 5 // steps of a table
	tableWide  = 3 // tasks
)

// A table is the job of all steps of a chain: step s adds 1 to what step s-1
// wrote. Nothing is atomic: the race detector sees a missing order, and a copy made in the
// wrong place.
type table struct {
	t      *tables
	at     int // the step
	values [tableSteps + 1][tableWide]int
}

// tables are the copies of a table and where workers are held up.
type tables struct {
	now    *table
	copies int
	hold   func(worker, step int)
	again  func()
}

func (c *table) Do(worker, task int) {
	s := c.at
	if c.t.hold != nil {
		c.t.hold(worker, s)
	}
	c.values[s][task] = c.values[s-1][task] + 1
}

func (c *table) Again() Job {
	c.t.copies++
	c.t.now = &table{c.t, c.at, c.values}
	if c.t.again != nil {
		c.t.again()
	}
	return c.t.now
}

// run goes through all steps and checks what the last copy holds.
func (c *tables) run(t *testing.T, p *Pool) {
	t.Helper()
	c.now, c.copies = &table{t: c}, 0
	p.Run(1, func(int) Step {
		if c.now.at++; c.now.at > tableSteps {
			return Step{}
		}
		return Step{tableWide, c.now, time.Millisecond}
	})
	for i, v := range c.now.values[tableSteps] {
		if v != tableSteps {
			t.Errorf("value %d is %d after %d steps", i, v, tableSteps)
		}
	}
}

// A stop holds up some workers in one step, once each. The others wait until all
// of them are there.
type stop struct {
	step, workers int // those from 1 on
	there         atomic.Int32
	held          [8]atomic.Bool
	release       chan struct{}
}

func (s *stop) hold(worker, step int) {
	if step != s.step {
		return
	}
	if worker >= 1 && worker <= s.workers && !s.held[worker].Swap(true) {
		s.there.Add(1)
		<-s.release
		return
	}
	for end := time.Now().Add(10 * time.Second); int(s.there.Load()) < s.workers && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// TestTakenOver: a request ends without the workers that are held up, and they
// leave no trace when they go on.
func TestTakenOver(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for step := 1; step <= tableSteps; step++ {
			p := New(3)
			s := &stop{step: step, workers: workers, release: make(chan struct{})}
			c := &tables{hold: s.hold}
			c.run(t, p)
			if c.copies < 1 || int(p.stale.Load()) < workers { // more where the machine is busy
				t.Errorf("step %d, %d held up: %d copies, %d workers stale", step, workers, c.copies, p.stale.Load())
			}
			(&tables{}).run(t, p)
			close(s.release)
			p.Settle()
			if n := p.stale.Load(); n != 0 {
				t.Errorf("%d workers are stale after all", n)
			}
			(&tables{}).run(t, p)
			p.Close()
		}
	}
}

// TestOneTakeOverAtATime: what stale workers have is the other copy, so nothing more is
// taken over before they are done.
func TestOneTakeOverAtATime(t *testing.T) {
	p := New(3)
	defer p.Close()
	first := &stop{step: 2, workers: 1, release: make(chan struct{})}
	c := &tables{hold: first.hold}
	c.run(t, p)
	if c.copies < 1 { // more where the machine is busy
		t.Fatalf("%d copies", c.copies)
	}
	var met, over atomic.Bool
	d := &tables{}
	d.hold = func(worker, step int) {
		if step == 3 && worker == 2 && !met.Swap(true) {
			time.Sleep(30 * time.Millisecond) // many times the patience
			if over.Load() {
				t.Error("a task is taken over while a worker is stale")
			}
			close(first.release)
			for end := time.Now().Add(10 * time.Second); !over.Load() && time.Now().Before(end); {
				runtime.Gosched()
			}
		}
		for end := time.Now().Add(10 * time.Second); step == 3 && worker == 0 && !met.Load() && time.Now().Before(end); {
			runtime.Gosched()
		}
	}
	d.again = func() { over.Store(true) }
	d.run(t, p)
	if !over.Load() {
		t.Error("a task is not taken over after the stale worker was done")
	}
	p.Settle()
}

// TestPanicOfAStaleTask is nobody's: its request has ended, or goes on without it.
func TestPanicOfAStaleTask(t *testing.T) {
	p := New(2)
	defer p.Close()
	s := &stop{step: 3, workers: 1, release: make(chan struct{})}
	c := &tables{hold: func(worker, step int) {
		if s.hold(worker, step); worker == 1 && step == 3 {
			panic("too late")
		}
	}}
	c.run(t, p)
	close(s.release)
	p.Settle()
	(&tables{}).run(t, p)
}

// TestPanicOfTakingOver reaches the caller, of the copy as of its tasks.
func TestPanicOfTakingOver(t *testing.T) {
	p := New(2)
	defer p.Close()
	for _, where := range []string{"copy", "task"} {
		s := &stop{step: 2, workers: 1, release: make(chan struct{})}
		c := &tables{}
		var copied atomic.Bool
		c.again = func() {
			if copied.Store(true); where == "copy" {
				panic(where)
			}
		}
		c.hold = func(worker, step int) {
			if s.hold(worker, step); worker == 0 && where == "task" && copied.Swap(false) {
				panic(where)
			}
		}
		if got := recovered(func() { c.run(t, p) }); got != where {
			t.Errorf("Run panicked with %v, want %q", got, where)
		}
		close(s.release)
		p.Settle()
		(&tables{}).run(t, p) // the pool goes on
	}
}

// TestLateClaims: whoever says late that it has a task of the step is waited for.
func TestLateClaims(t *testing.T) {
	const step = 7
	p := &Pool{workers: make([]worker, 3)}
	c := &tables{}
	c.now = &table{t: c, at: 1}
	chain := &p.chains[0]
	chain.state.Store(step << taskBits)
	chain.job = c.now
	chain.patience.Store(1)
	chain.pending.Store(2)
	p.open.Store(1)
	p.next = func(int) Step { return Step{} }
	p.workers[1].held.Store(step<<taskBits | 2)
	time.AfterFunc(5*time.Millisecond, func() { p.workers[2].held.Store(step << taskBits) })
	if !p.takeOver(0, time.Second) {
		t.Fatal("nothing is taken over")
	}
	if want := [tableWide]int{1, 0, 1}; c.now.values[1] != want || p.open.Load() != 0 {
		t.Errorf("tasks that were done: %v, want %v; %d chains open", c.now.values[1], want, p.open.Load())
	}
}

// TestHelpersStayAwake: where the caller of Run is held up, a worker that waits longer
// than it would before it sleeps takes its task over.
func TestHelpersStayAwake(t *testing.T) {
	p := New(2)
	defer p.Close()
	over, met := make(chan struct{}), atomic.Bool{}
	at := 0
	j := &jobOf{}
	j.again = func() Job { close(over); return j }
	j.do = func(worker, task int) {
		for end := time.Now().Add(10 * time.Second); !met.Load() && worker == 1 && time.Now().Before(end); {
			runtime.Gosched()
		}
		if worker == 0 && !met.Swap(true) {
			select {
			case <-over:
			case <-time.After(10 * time.Second):
				t.Error("nobody takes over what the caller holds")
			}
		}
	}
	p.Run(1, func(int) Step {
		if at++; at > 1 {
			return Step{}
		}
		return Step{2, j, 5 * spinTime}
	})
	p.Settle()
}

// A jobOf is a job of functions.
type jobOf struct {
	do    func(worker, task int)
	again func() Job
}

func (j *jobOf) Do(worker, task int) { j.do(worker, task) }
func (j *jobOf) Again() Job          { return j.again() }

// TestPatience: nothing is taken over before it is over, nor where there are
// several chains. A Func panics where it is.
func TestPatience(t *testing.T) {
	p := New(2)
	defer p.Close()
	for chains, patience := range map[int]time.Duration{1: 20 * time.Second, 2: time.Millisecond} {
		var at [2]int
		var met atomic.Int32
		p.Run(chains, func(c int) Step {
			if at[c]++; at[c] > 1 {
				return Step{}
			}
			return Step{2, Func(func(worker, task int) {
				if met.Add(1) == 2 {
					time.Sleep(20 * time.Millisecond)
				}
			}), patience}
		})
	}
}

// TestNoPatienceNoEnd: without patience a step waits for the one who has its task.
func TestNoPatienceNoEnd(t *testing.T) {
	p := New(2)
	defer p.Close()
	var done atomic.Bool
	p.one(2, func(worker, task int) { // a Func panics where it is taken over
		if task == 0 {
			time.Sleep(20 * time.Millisecond)
			done.Store(true)
		}
	})
	if !done.Load() {
		t.Error("Run returned before its task")
	}
}
