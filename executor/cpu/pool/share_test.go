package pool

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A request is like a batch: steps that follow each other in each chain, of
// some tasks that compute for a while and allocate nothing.
type request struct {
	at            [MaxChains]int
	chains, steps int
	tasks, rounds int
	next          func(int) Step
	sinks         [MaxChains]sink
}

// A sink is the job of a chain: it leaves nothing that a task could find changed.
type sink struct {
	rounds int
	sum    atomic.Uint64
}

func (s *sink) Do(_, task int) {
	x := uint64(task)
	for i := range s.rounds {
		x = x*6364136223846793005 + uint64(i)
	}
	s.sum.Add(x)
}

func (s *sink) Again() Job { return s }

func newRequest(chains, steps, tasks, rounds int) *request {
	r := &request{chains: chains, steps: steps, tasks: tasks, rounds: rounds}
	for c := range r.sinks {
		r.sinks[c].rounds = rounds
	}
	patience := time.Duration(0)
	if chains == 1 {
		patience = 150 * time.Microsecond
	}
	r.next = func(c int) Step {
		if r.at[c]++; r.at[c] > r.steps {
			return Step{}
		}
		return Step{r.tasks, &r.sinks[c], patience}
	}
	return r
}

func (r *request) run(p *Pool) time.Duration {
	clear(r.at[:])
	start := time.Now()
	p.Run(r.chains, r.next)
	return time.Since(start)
}

// roundsFor is how many rounds of a task take d.
func roundsFor(d time.Duration) int {
	best := time.Hour
	r := newRequest(1, 1, 1, 1<<16)
	p := New(1)
	defer p.Close()
	for range 20 {
		best = min(best, r.run(p))
	}
	return int(float64(r.rounds) * float64(d) / float64(best))
}

// BenchmarkShare shows what a pool of two threads loses to others: to a process
// that computes all the time, to collections, and without asynchronous
// preemption. It takes turns between one thread alone, two threads, and two
// threads beside the others, and prints medians of requests a second as
// ratios to one thread alone. On two CPUs, two threads beside one other have 4/3
// of what one alone has, at best: each of three has two thirds of a CPU.
//
//	go test -run xxx -bench Share -benchtime 1x ./executor/cpu/pool
func BenchmarkShare(b *testing.B) {
	if os.Getenv("POOL_BENCH_CHILD") == "" {
		defer func() {
			cmd := exec.Command(os.Args[0], "-test.run=xxx", "-test.bench=BenchmarkShare", "-test.benchtime=1x")
			cmd.Env = append(os.Environ(), "POOL_BENCH_CHILD=1", "GODEBUG=asyncpreemptoff=1")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			fmt.Println("with GODEBUG=asyncpreemptoff=1:")
			if err := cmd.Run(); err != nil {
				b.Error(err)
			}
		}()
	}
	rounds := roundsFor(20 * time.Microsecond)
	for _, shape := range []struct {
		name          string
		chains, tasks int
	}{{"one row, 45 steps of 8 tasks", 1, 8}, {"8 chains, 45 steps of 8 tasks", 8, 8}} {
		one, two := New(1), New(2)
		r := newRequest(shape.chains, 45, shape.tasks, rounds)
		var alone, pair, process, storm []float64
		for range 8 {
			alone = append(alone, rates(one, r)...)
			pair = append(pair, rates(two, r)...)
			stop := compete()
			process = append(process, rates(two, r)...)
			stop()
			stop = collect()
			storm = append(storm, rates(two, r)...)
			stop()
		}
		one.Close()
		two.Close()
		base := middle(alone)
		fmt.Printf("%s: two threads %.2f of one; beside a process %.2f; beside collections %.2f\n",
			shape.name, middle(pair)/base, middle(process)/base, middle(storm)/base)
	}
}

// rates are requests a second, one after another for a while.
func rates(p *Pool, r *request) (all []float64) {
	for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); {
		all = append(all, 1/r.run(p).Seconds())
	}
	return all
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// compete starts a process that computes until it is stopped.
func compete() (stop func()) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	time.Sleep(20 * time.Millisecond)
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// collect collects garbage all the time.
func collect() (stop func()) {
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !over.Load() {
			garbage = make([]byte, 1<<20)
			runtime.GC()
		}
	}()
	return func() {
		over.Store(true)
		<-ended
	}
}

var garbage []byte
