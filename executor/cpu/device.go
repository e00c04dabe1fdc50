// Package cpu runs plans on the CPU, on kernels in assembly and in Go.
//
// A checked plan is bound once: every step becomes a function over views of
// the mapped weights and of the arena. A batch then costs no allocation: its
// buffers lie in an arena that grows to the largest batch seen, and tasks are
// claimed by the workers of one pool. How a step is cut into tasks follows
// the batch; a row's bits do not, see package kernel.
package cpu

import (
	"fmt"
	"slices"
	"strings"
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
	ints    kernel.Quantised // inputs of the product that runs

	arena       [2][]float32 // per token, per row
	scratch     [][]float32  // by worker
	scratchSize int          // of each, in values
	intBytes    [2]int       // of integers for each token, each row
	sizes       sizes
	checked     int64 // bytes that there was memory for
	available   func() int64
	batch       *executor.Batch
	queries     []queryBlock
	results     [][]float32
	counters    executor.Counters
}

// A step is a plan step bound to the device. Run calls cut for the number of
// tasks that the batch gives, then task for each, on any worker. Products in
// integers have a phase before, first, to which it does the same.
type step struct {
	*plan.Step
	first *phase
	cut   func() int
	task  func(worker, task int)
	macs  func() int64 // multiply-adds for the batch
	// rowwise steps compute lines rows in each task, as first phases do. Such a
	// step may do the first phase of the one behind it in its own tasks, while
	// rows are in cache: withNext does both.
	rowwise  bool
	withNext func(worker, task int)
}

// A phase is work that is cut into tasks.
type phase struct {
	cut  func() int
	task func(worker, task int)
}

// New makes a device. Nothing runs on a level the machine lacks.
func New(o Options) (*Device, error) {
	if !kernel.Supported(o.Level) {
		return nil, fault.Newf(fault.Unavailable, "CPU level %v: this machine has %v at best", o.Level, kernel.Best())
	}
	if o.Threads < 1 {
		return nil, fault.Newf(fault.Usage, "%d threads: want at least 1", o.Threads)
	}
	return &Device{options: o, table: kernel.For(o.Level), pool: pool.New(o.Threads), available: memory.Available}, nil
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
	d.program, d.counters = p, executor.Counters{}
	d.arena, d.scratch = [2][]float32{}, nil
	if err := mapped.Guard(d.bindWeights); err != nil {
		return err
	}
	d.steps, d.scratchSize, d.sizes, d.checked = d.steps[:0], 0, sizes{}, 0
	d.ints, d.intBytes = kernel.Quantised{}, [2]int{}
	for i := range p.Steps {
		s, scratch := d.bind(i)
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
	done := -1 // step whose first phase the one before it has done
	for i := range d.steps {
		s := &d.steps[i]
		if s.Needed&d.batch.Wanted == 0 {
			continue
		}
		if s.first != nil && done != i {
			d.pool.Run(s.first.cut(), s.first.task)
		}
		task := s.task
		if s.withNext != nil && d.steps[i+1].Needed&d.batch.Wanted != 0 {
			d.steps[i+1].first.cut()
			task, done = s.withNext, i+1
		}
		d.pool.Run(s.cut(), task)
		d.counters.MultiplyAdds += s.macs()
		d.observe(s)
		d.copyTaps(i)
	}
	d.copyOutputs()
	return nil
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
		s.withNext = func(worker, task int) {
			own(worker, task)
			first(worker, task)
		}
	}
}

// begin points the arena at the batch.
func (d *Device) begin() {
	d.counters.Batches++
	d.counters.Tokens += int64(d.tokens())
	d.counters.Rows += int64(d.rows())
	arena := d.sizesOf(d.batch.Wanted).arena
	d.grow(plan.PerToken, arena[0]/elementBytes*d.tokens())
	d.grow(plan.PerRow, arena[1]/elementBytes*d.rows())
	d.growIntegers()
	d.cutQueries()
}

// grow makes an arena of at least n values. The old one is let go first.
func (d *Device) grow(kind plan.Rows, n int) {
	if a := &d.arena[kind-plan.PerToken]; len(*a) < n {
		*a = nil
		*a = alignedFloats(n)
	}
}

func (d *Device) tokens() int { return len(d.batch.IDs) }
func (d *Device) rows() int   { return len(d.batch.Offsets) - 1 }

// count is the number of rows of a buffer in this batch.
func (d *Device) count(r plan.Rows) int {
	if r == plan.PerRow {
		return d.rows()
	}
	return d.tokens()
}

// view is buffer i in this batch.
func (d *Device) view(i int) Rows {
	b := &d.program.Buffers[i]
	n := d.count(b.Rows)
	from := b.Offset / elementBytes * n
	return Rows{d.arena[b.Rows-plan.PerToken][from : from+n*b.Stride/elementBytes], n, b.Width, b.Stride / elementBytes}
}

// input is the view of operand i of s, which is a buffer.
func (d *Device) input(s *plan.Step, i int) Rows { return d.view(s.Args[i].Index) }

// optional is input, empty where the operand is absent.
func (d *Device) optional(s *plan.Step, i int) Rows {
	if s.Args[i].Kind == plan.None {
		return Rows{}
	}
	return d.input(s, i)
}

// output is the view of result i, empty where nothing reads it.
func (d *Device) output(s *plan.Step, i int) Rows {
	if s.Results[i] == plan.Unused {
		return Rows{}
	}
	return d.view(s.Results[i])
}

// copyTaps copies the outputs that step i defines and a later one may write
// over; copyOutputs the others, at the end.
func (d *Device) copyTaps(i int) {
	for j, o := range d.program.Outputs {
		if o.When == plan.Tap && o.After == i && d.batch.Wanted>>j&1 != 0 {
			d.copyOut(j)
		}
	}
}

func (d *Device) copyOutputs() {
	for j, o := range d.program.Outputs {
		if o.When != plan.Tap && d.batch.Wanted>>j&1 != 0 {
			d.copyOut(j)
		}
	}
}

func (d *Device) copyOut(j int) {
	v := d.view(d.program.Outputs[j].Buffer)
	out := d.results[j][:0]
	for r := range v.Count {
		out = append(out, v.Row(r)...)
	}
	d.results[j], d.batch.Results[j] = out, out
}

func (d *Device) observe(s *step) {
	if d.options.Observe == nil || s.Op < plan.Linear || s.Op > plan.Sparse24Linear {
		return
	}
	d.options.Observe(s.Label, d.program.Weights[s.Args[linearW].Index].Name, d.input(s.Step, linearX))
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
