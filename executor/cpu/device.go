// Package cpu runs plans on the CPU, on kernels in assembly and in Go.
//
// A checked plan is bound once: every step becomes a function over views of
// the mapped weights and of the arena. A batch then costs no allocation: its
// buffers lie in an arena that grows to the largest group of rows seen, and tasks are
// claimed by the workers of one pool. How a batch is cut into groups, and a
// step of a group into tasks, follows the batch; a row's bits do not, see
// package kernel.
package cpu

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/executor/memory"
	"etc/fault"
	"etc/formats/mapped"
	"etc/formats/plan"
)

// Options say which kernels and how many threads.
type Options struct {
	Level   kernel.Level // must be supported by this machine
	Threads int          // at least 1
	// Observe, if set, is called after each product with a weight matrix, with
	// the step's label, the weight's name and the rows that went in: how
	// calibration sees activations.
	Observe func(label, weight string, x Rows)
	// Profile, if set, is called after each batch with what each worker did. The
	// events are valid during the call.
	Profile func(p *plan.Program, events []Event)
}

// Rows is a matrix of float32 in the arena: Count rows of Width values, each
// Stride values after the one before.
type Rows struct {
	Data                 []float32
	Count, Width, Stride int
}

// Row is row i.
func (r Rows) Row(i int) []float32 { return r.Data[i*r.Stride : i*r.Stride+r.Width] }

// A Device implements executor.Device.
type Device struct {
	options Options
	table   *kernel.Table
	pool    *pool.Pool
	program *plan.Program
	weights []weight
	steps   []step

	room                    // of the groups under way
	scratch     [][]float32 // by worker
	scratchSize int         // of each, in values
	intBytes    [2]int      // of the widest of them for each token, each row; 0: none
	sizes       sizes
	checked     int64 // bytes that there was memory for
	available   func() int64
	batch       *executor.Batch
	cuts        []int // the first row of each group of the batch, and the end
	began       atomic.Int32
	groups      []*group // under way, by lane; what lies behind lanes is to be used again
	lanes       int
	sharing     int // threads that are expected to share a group's steps
	spare       spare
	extent      extent // of the batch's groups
	movable     bool   // the batch is one group, which can be moved
	next        func(lane int) pool.Step
	results     [][]float32
	events      [][]Event // by worker
	counters    executor.Counters
}

// A step is a plan step bound to the device. cut is called for the number of
// tasks that a group gives, then task for each, on any worker. Products in
// integers have a phase before, first, with which the same is done.
type step struct {
	*plan.Step
	first *phase
	cut   func(g *group) int
	task  func(g *group, worker, task int)
	macs  func(b *executor.Batch) int64 // multiply-adds for a batch, or for a group's part
	// rowwise steps compute lines rows in each task, as first phases do. Such a
	// step may do the first phase of the one behind it in its own tasks, while
	// rows are in cache: withNext does both.
	rowwise  bool
	withNext func(g *group, worker, task int)
	// repeatable steps read nothing that they write, nor anything of the caller's.
	repeatable bool
}

// A phase is work that is cut into tasks.
type phase struct {
	cut  func(g *group) int
	task func(g *group, worker, task int)
}

// New makes a device. Nothing runs on a level the machine lacks.
func New(o Options) (*Device, error) {
	if !kernel.Supported(o.Level) {
		return nil, fault.Newf(fault.Unavailable, "CPU level %v: this machine has %v at best", o.Level, kernel.Best())
	}
	if o.Threads < 1 {
		return nil, fault.Newf(fault.Usage, "%d threads: want at least 1", o.Threads)
	}
	d := &Device{options: o, table: kernel.For(o.Level), pool: pool.New(o.Threads), available: memory.Available}
	d.next, d.events = d.nextStep, make([][]Event, o.Threads)
	return d, nil
}

func (d *Device) Name() string {
	return fmt.Sprintf("cpu %v %d threads", d.options.Level, d.options.Threads)
}

// Close ends the workers.
func (d *Device) Close() error {
	d.pool.Close()
	return nil
}

func (d *Device) Counters() executor.Counters { return d.counters }

// Target is the target of programs in float32, which is the default.
const Target = "cpu:f32"

// Program is p's first program for a CPU.
func (d *Device) Program(p *plan.Plan) (*plan.Program, error) {
	for _, q := range p.Programs {
		if plan.IsCPU(q.Target) {
			return q, nil
		}
	}
	return nil, unfit("plan", p.Targets()...)
}

func unfit(what string, targets ...string) error {
	return fault.Newf(fault.Unfit, "%s is for %s, this device is a CPU", what, strings.Join(targets, ", ")).
		WithHint("etc compile --target %s makes one that fits", Target)
}

// Load binds p. It allocates what does not depend on a batch, once it has seen
// that there is memory for all that batches will take.
func (d *Device) Load(p *plan.Program, maxTokens int, wanted uint64) error {
	if !plan.IsCPU(p.Target) {
		return unfit("program", p.Target)
	}
	d.pool.Settle()
	d.program, d.counters = p, executor.Counters{}
	d.room, d.spare, d.scratch = room{}, spare{}, nil
	if err := mapped.Guard(d.bindWeights); err != nil {
		return err
	}
	d.steps, d.scratchSize, d.sizes, d.checked = d.steps[:0], 0, sizes{}, 0
	d.groups, d.intBytes = nil, [2]int{}
	for i := range p.Steps {
		s, scratch := d.bind(i)
		s.repeatable = d.repeatable(s.Step)
		d.steps = append(d.steps, s)
		d.scratchSize = max(d.scratchSize, scratch)
	}
	d.joinPhases()
	if err := d.checkMemory(maxTokens, maxTokens, wanted); err != nil {
		return err
	}
	for range d.options.Threads {
		d.scratch = append(d.scratch, alignedFloats(d.scratchSize))
	}
	d.results = make([][]float32, len(p.Outputs))
	return nil
}

// Run computes the wanted outputs of b. A panic of a kernel, on whichever
// worker, is its error, and so is a mapped plan that shrinks meanwhile.
func (d *Device) Run(b *executor.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.Recovered(r)
		}
	}()
	d.batch = b
	if err := d.checkMemory(d.tokens(), d.rows(), b.Wanted); err != nil {
		return err
	}
	return mapped.Guard(d.runSteps)
}

func (d *Device) runSteps() error {
	d.begin()
	d.pool.Run(d.lanes, d.next)
	if d.options.Profile != nil {
		d.report(d.program)
	}
	return nil
}

// nextStep ends what the group in a lane is at, a step or its first phase, and
// begins the next one that the wanted outputs need, of the next group where there
// is none.
func (d *Device) nextStep(lane int) pool.Step {
	g := d.groups[lane]
	if !d.advance(g) {
		return pool.Step{}
	}
	return pool.Step{Tasks: g.tasks, Job: g, Patience: d.patience(g)}
}

// advance reports whether there is something to begin.
func (d *Device) advance(g *group) bool {
	if g.inFirst && d.beginStep(g) {
		return true
	}
	if g.step < len(d.steps) {
		d.observe(g, &d.steps[g.step])
		d.copyTaps(g)
	}
	for {
		for g.step++; g.step < len(d.steps); g.step++ {
			s := &d.steps[g.step]
			if s.Needed&g.Wanted == 0 {
				continue
			}
			if s.first != nil && g.joined != g.step {
				if n := s.first.cut(g); n > 0 {
					g.inFirst, g.task, g.tasks, g.macs = true, s.first.task, n, 0
					return true
				}
			}
			if d.beginStep(g) {
				return true
			}
		}
		if g.begun {
			d.copyOutputs(g)
		}
		if g.begun = d.beginGroup(g); !g.begun {
			return false
		}
	}
}

// beginStep begins the step that a group is at, whose first phase is done, unless
// there is nothing to do.
func (d *Device) beginStep(g *group) bool {
	s := &d.steps[g.step]
	g.inFirst, g.task = false, s.task
	if s.withNext != nil && d.steps[g.step+1].Needed&g.Wanted != 0 {
		g.task, g.joined = s.withNext, g.step+1
	}
	g.tasks, g.macs = s.cut(g), s.macs(&g.Batch)
	return g.tasks > 0
}

// joinPhases lets steps that compute row by row do the first phase of a step
// right behind them that reads these rows.
func (d *Device) joinPhases() {
	for i := 1; i < len(d.steps); i++ {
		s, next := &d.steps[i-1], &d.steps[i]
		if !s.rowwise || next.first == nil || !slices.Contains(s.Results, next.Args[linearX].Index) {
			continue
		}
		own, first := s.task, next.first.task
		s.withNext = func(g *group, worker, task int) {
			own(g, worker, task)
			first(g, worker, task)
		}
	}
}

// begin counts what will run for the batch, makes room for its results, and cuts it.
func (d *Device) begin() {
	d.counters.Batches++
	d.counters.Tokens += int64(d.tokens())
	d.counters.Rows += int64(d.rows())
	for i := range d.steps {
		if s := &d.steps[i]; s.Needed&d.batch.Wanted != 0 {
			d.counters.MultiplyAdds += s.macs(d.batch)
		}
	}
	for j, o := range d.program.Outputs {
		if d.batch.Wanted>>j&1 != 0 {
			b := &d.program.Buffers[o.Buffer]
			n := batchCount(d.batch, b.Rows) * b.Width
			d.results[j] = slices.Grow(d.results[j][:0], n)[:n]
			d.batch.Results[j] = d.results[j]
		}
	}
	d.cutGroups()
	d.layLanes()
}

func (d *Device) tokens() int { return len(d.batch.IDs) }
func (d *Device) rows() int   { return len(d.batch.Offsets) - 1 }

// batchCount is the number of rows of a buffer in b.
func batchCount(b *executor.Batch, r plan.Rows) int {
	if r == plan.PerRow {
		return len(b.Offsets) - 1
	}
	return len(b.IDs)
}

// copyTaps copies the outputs that the step a group is at defines and a later
// one may write over; copyOutputs the others, at the end.
func (d *Device) copyTaps(g *group) {
	for j, o := range d.program.Outputs {
		if o.When == plan.Tap && o.After == g.step && g.Wanted>>j&1 != 0 {
			d.copyOut(g, j)
		}
	}
}

func (d *Device) copyOutputs(g *group) {
	for j, o := range d.program.Outputs {
		if o.When != plan.Tap && g.Wanted>>j&1 != 0 {
			d.copyOut(g, j)
		}
	}
}

// copyOut copies a group's part of output j, without gaps.
func (d *Device) copyOut(g *group, j int) {
	o := d.program.Outputs[j]
	v := d.view(g, o.Buffer)
	first := g.firstToken
	if d.program.Buffers[o.Buffer].Rows == plan.PerRow {
		first = g.firstRow
	}
	out := d.results[j][first*v.Width:]
	for r := range v.Count {
		copy(out[r*v.Width:], v.Row(r))
	}
}

func (d *Device) observe(g *group, s *step) {
	if d.options.Observe == nil || s.Op < plan.Linear || s.Op > plan.Sparse24Linear {
		return
	}
	d.options.Observe(s.Label, d.program.Weights[s.Args[linearW].Index].Name, d.input(g, s.Step, linearX))
}

const (
	elementBytes = 4
	cacheLine    = 64 // alignment of arena and scratch, in bytes
)

// alignedFloats returns n zeroed values that begin on a cache line.
func alignedFloats(n int) []float32 {
	const line = cacheLine / elementBytes
	v := make([]float32, n+line)
	skip := 0
	for uintptr(unsafe.Pointer(&v[skip]))%cacheLine != 0 {
		skip++
	}
	return v[skip : skip+n : skip+n]
}
