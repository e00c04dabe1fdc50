package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/checkpoint"
	"etc/formats/plan"
)

// randomPrograms are small models of every class, for every type of CPU plans.
func randomPrograms(t *testing.T, f func(t *testing.T, p *plan.Program)) {
	for i, class := range frontendtest.Classes {
		for _, target := range []string{"cpu:f32", "cpu:int16", "cpu:int8"} {
			t.Run(class+" "+target, func(t *testing.T) {
				o := frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 16, Inner: 131, Zeros: i%2 == 0}
				c, err := checkpoint.Open(frontendtest.Random(t, rand.New(rand.NewPCG(uint64(i), 3)), class, o))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				r, err := compiler.Compile(c, compiler.Options{Targets: []string{target}, Buckets: []int{64}})
				if err != nil {
					t.Fatal(err)
				}
				f(t, r.Plan.Programs[0])
			})
		}
	}
}

// randomBatch asks for all outputs of rows of these lengths.
func randomBatch(rng *rand.Rand, p *plan.Program, lengths ...int) *executor.Batch {
	b := &executor.Batch{Offsets: []int32{0}, Wanted: 1<<len(p.Outputs) - 1, Results: make([][]float32, len(p.Outputs))}
	for _, n := range lengths {
		for i := range n {
			b.IDs = append(b.IDs, int32(rng.IntN(p.Model.VocabSize)))
			b.Types = append(b.Types, int32(rng.IntN(max(1, p.Model.TypeVocabSize))))
			b.Positions = append(b.Positions, int32(p.Model.PositionOffset+i))
		}
		b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	}
	return b
}

// resultsOf runs b and returns the bits of all its results.
func resultsOf(t *testing.T, d *Device, b *executor.Batch) (bits [][]uint32) {
	t.Helper()
	if err := d.Run(b); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Results {
		var v []uint32
		for _, x := range r {
			v = append(v, math.Float32bits(x))
		}
		bits = append(bits, v)
	}
	return bits
}

// A trap holds up worker 1 in a task of one step, once.
type trap struct {
	left, released chan struct{}
	release        func()
	set            atomic.Bool
	missed         atomic.Bool // the group had been moved before, as the machine is busy
}

func newTrap(t *testing.T) *trap {
	p := &trap{left: make(chan struct{}), released: make(chan struct{})}
	p.release = sync.OnceFunc(func() { close(p.released) })
	t.Cleanup(p.release)
	p.set.Store(true)
	return p
}

// in is a task in which worker 1 waits before it does it. Worker 0 leaves it one of
// them. When it goes on it does what it should have, in the memory that it had, and
// spoils that.
func (p *trap) in(task func(g *group, worker, task int)) func(g *group, worker, task int) {
	return func(g *group, worker, i int) {
		for end := time.Now().Add(5 * time.Second); worker == 0 && g.tasks > 1 && p.set.Load() && !p.missed.Load() && time.Now().Before(end); {
			runtime.Gosched()
		}
		if worker == 1 && g.device.spare.group != nil {
			p.missed.Store(true)
		}
		if worker == 0 || p.missed.Load() || !p.set.CompareAndSwap(true, false) {
			task(g, worker, i)
			return
		}
		<-p.released
		task(g, worker, i)
		for _, a := range g.arena {
			for j := range a {
				a[j] = float32(math.NaN())
			}
		}
		for j := range g.ints.Data {
			g.ints.Data[j] = 0x5a
		}
		close(p.left)
	}
}

// TestHeldUpThread: a thread that is off its CPU in any step does not keep the
// others waiting, and what it does when it is back, in the midst of the next
// batch, changes nothing.
func TestHeldUpThread(t *testing.T) {
	if raceDetector {
		t.Skip("tasks are not taken over under the race detector")
	}
	randomPrograms(t, func(t *testing.T, p *plan.Program) {
		rng := rand.New(rand.NewPCG(8, 8))
		first, second := randomBatch(rng, p, 40, 3, 20), randomBatch(rng, p, 57)
		one := newDevice(t, 1)
		if err := one.Load(p, 128, first.Wanted); err != nil {
			t.Fatal(err)
		}
		want := [2][][]uint32{resultsOf(t, one, first), resultsOf(t, one, second)}
		held := 0
		for k, s := range one.steps {
			for _, before := range []bool{false, true} {
				if !s.repeatable || before && s.first == nil {
					continue
				}
				ok, missed := holdUp(t, p, k, before, first, second, want)
				for try := 0; missed && try < 10; try++ {
					ok, missed = holdUp(t, p, k, before, first, second, want)
				}
				if ok {
					held++
				}
			}
		}
		if held == 0 {
			t.Error("no thread was held up")
		}
	})
}

// holdUp holds up a thread in step k, or in the phase before it, and reports whether
// it did: worker 0 may have had its only task, or the trap was missed.
func holdUp(t *testing.T, p *plan.Program, k int, before bool, first, second *executor.Batch, want [2][][]uint32) (ok, missed bool) {
	t.Helper()
	what := fmt.Sprintf("step %d (%s %v, phase before: %v)", k, p.Steps[k].Label, p.Steps[k].Op, before)
	d := newDevice(t, 2)
	if err := d.Load(p, 128, first.Wanted); err != nil {
		t.Fatal(err)
	}
	trap := newTrap(t)
	s := &d.steps[k]
	switch {
	case before:
		s.first = &phase{s.first.cut, trap.in(s.first.task)}
	case s.withNext != nil:
		s.withNext = trap.in(s.withNext)
	default:
		s.task = trap.in(s.task)
	}
	if got := resultsOf(t, d, first); !slices.EqualFunc(got, want[0], slices.Equal) {
		t.Errorf("%s: results change", what)
	}
	if trap.set.Swap(false) {
		return false, trap.missed.Load()
	}
	last := &d.steps[len(d.steps)-1]
	own := last.task
	last.task = func(g *group, worker, task int) {
		select {
		case <-trap.left:
		default:
			trap.release()
			<-trap.left
		}
		own(g, worker, task)
	}
	if got := resultsOf(t, d, second); !slices.EqualFunc(got, want[1], slices.Equal) {
		t.Errorf("%s: results of the batch after it change", what)
	}
	last.task = own
	d.pool.Settle()
	if got := resultsOf(t, d, first); !slices.EqualFunc(got, want[0], slices.Equal) {
		t.Errorf("%s: results change afterwards", what)
	}
	return true, false
}

// TestRepeatable: steps that write what they read, or look at what is the caller's, are
// not done again.
func TestRepeatable(t *testing.T) {
	p := miniPlan(t)
	d := newDevice(t, 2)
	if err := d.Load(p, 8, 3); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true} {
		if d.steps[i].repeatable != want {
			t.Errorf("step %v: repeatable %v, want %v", p.Steps[i].Op, d.steps[i].repeatable, want)
		}
	}
	for _, offset := range []int{0, 16} {
		p.Buffers[2].Offset = offset // the product's result, over its operand
		if d.repeatable(&p.Steps[2]) {
			t.Errorf("a result over its operand, at %d, is repeatable", offset)
		}
	}
}

// TestPatience: only where all threads share one group's steps, and moving it
// costs little.
func TestPatience(t *testing.T) {
	if raceDetector {
		t.Skip("there is none under the race detector")
	}
	p := miniPlan(t)
	for _, c := range []struct {
		threads, rows, tokens int
		level                 kernel.Level
		want                  bool
	}{{2, 1, 8, kernel.Best(), true}, {2, 1, 8, kernel.Generic, true}, {1, 1, 8, kernel.Best(), false}, {2, 2 * groupTokens / 8, 8, kernel.Best(), false}, {2, 1, 8000, kernel.Best(), false}} {
		d, err := New(Options{Level: c.level, Threads: c.threads})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Load(p, 8, 3); err != nil {
			t.Fatal(err)
		}
		d.batch = miniBatch(c.rows, c.tokens, 3)
		d.cutGroups()
		d.layLanes()
		g := d.groups[0]
		d.beginGroup(g)
		g.step = 2
		d.beginStep(g)
		got := d.patience(g)
		if (got > 0) != c.want {
			t.Errorf("%d threads, %d rows of %d tokens: patience %v", c.threads, c.rows, c.tokens, got)
		}
		rate := 30.0 // multiply-adds that this level does in a nanosecond at most, of those here
		if c.level == kernel.Generic {
			rate = 0.3
		}
		task := time.Duration(float64(g.macs) / float64(g.tasks) / rate)
		if c.want && (got < leastPatience+task || got > leastPatience+20*task) {
			t.Errorf("%v: patience of %v for %d multiply-adds in %d tasks", c.level, got, g.macs, g.tasks)
		}
	}
}

// TestRooms: there is place to move a group to before one is moved, it stays small, and
// a batch that wants more than it has goes back to where there is more.
func TestRooms(t *testing.T) {
	if raceDetector {
		t.Skip("nothing is moved under the race detector")
	}
	randomPrograms(t, func(t *testing.T, p *plan.Program) {
		rng := rand.New(rand.NewPCG(9, 9))
		few, many := randomBatch(rng, p, 40, 3, 20), randomBatch(rng, p, slices.Repeat([]int{64}, 24)...)
		d := newDevice(t, 2)
		if err := d.Load(p, len(many.IDs), many.Wanted); err != nil {
			t.Fatal(err)
		}
		wantMany, wantFew := resultsOf(t, d, many), resultsOf(t, d, few)
		size := func(r *room) int {
			return elementBytes*(len(r.arena[0])+len(r.arena[1])+len(r.ints.Units)) + len(r.ints.Data)
		}
		large, small := size(&d.room), size(&d.spare.room)
		if d.spare.first {
			large, small = small, large
		}
		if small != d.extent.size() || large < 2*small {
			t.Fatalf("rooms of %d and %d bytes for a group of %d", large, small, d.extent.size())
		}
		for i, moves := range []int{1, 2, 0, 3} {
			d.pool.Settle() // as the pool does before it asks
			for range moves {
				if g := d.groups[0]; g.Again() == pool.Job(g) {
					t.Fatal("a group is moved to where it is")
				}
			}
			if got := resultsOf(t, d, many); !slices.EqualFunc(got, wantMany, slices.Equal) {
				t.Errorf("round %d: results of many rows change", i)
			}
			if got := resultsOf(t, d, few); !slices.EqualFunc(got, wantFew, slices.Equal) {
				t.Errorf("round %d: results of few rows change", i)
			}
			if n := size(&d.room) + size(&d.spare.room); n != large+small {
				t.Errorf("round %d: rooms of %d bytes in all, were %d", i, n, large+small)
			}
		}
	})
}

// TestWaits: what takes the memory that a held up thread writes waits for it.
func TestWaits(t *testing.T) {
	if raceDetector {
		t.Skip("tasks are not taken over under the race detector")
	}
	p := miniPlan(t)
	for what, f := range map[string]func(d *Device) error{
		"a program is loaded":                    func(d *Device) error { return d.Load(p, 8, 3) },
		"a batch takes the room that was larger": func(d *Device) error { return d.Run(miniBatch(2*groupTokens/8, 8, 3)) },
	} {
		held := false
		for try := 0; !held && try < 20; try++ {
			held = whileHeld(t, p, what, f)
		}
		if !held {
			t.Errorf("%s: no thread was held up", what)
		}
	}
}

// whileHeld does f while a thread is held up in a task of a batch before, if one can be held up.
func whileHeld(t *testing.T, p *plan.Program, what string, f func(d *Device) error) bool {
	d := newDevice(t, 2)
	if err := d.Load(p, 8, 3); err != nil {
		t.Fatal(err)
	}
	resultsOf(t, d, miniBatch(2*groupTokens/8, 8, 3))
	trap := newTrap(t)
	own := d.steps[2].task
	d.steps[2].task = trap.in(own)
	resultsOf(t, d, miniBatch(1, 8, 3))
	if trap.set.Swap(false) {
		return false
	}
	d.steps[2].task = own
	time.AfterFunc(10*time.Millisecond, trap.release)
	if err := f(d); err != nil {
		t.Fatal(err)
	}
	select {
	case <-trap.left:
	default:
		t.Errorf("%s while a thread is in what was there before", what)
	}
	return true
}
