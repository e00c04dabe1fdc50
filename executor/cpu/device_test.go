package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// miniPlan embeds each token as the number of its id, pools a row, and on
// demand multiplies each token by a matrix [1000,1] of ones.
func miniPlan(t *testing.T) *plan.Program {
	t.Helper()
	const rows, wide = 10, 1000
	table := make([]float32, rows)
	for i := range table {
		table[i] = float32(i)
	}
	ones := make([]float32, wide)
	for i := range ones {
		ones[i] = 1
	}
	panels := make([]byte, layout.PanelBytes(wide, 1))
	layout.PackPanels(panels, ones, wide, 1)
	data := append(tensor.FromFloat32s([]int{rows, 1}, table).Data, make([]byte, 64-4*rows)...)
	p := &plan.Plan{
		MaxBatchTokens: 8,
		Model:          plan.Model{Task: plan.Embedding, MaxTokens: 8, VocabSize: rows},
		Weights: []plan.Weight{
			{Name: "word", Layout: plan.RowMajor, DType: tensor.F32, Shape: []int{rows, 1}, Size: 4 * rows},
			{Name: "w", Layout: plan.Panels, DType: tensor.F32, Shape: []int{wide, 1}, Offset: 64, Size: int64(len(panels))},
		},
		Data: append(data, panels...),
	}
	q := &plan.Program{
		Target: Target,
		Buffers: []plan.Buffer{
			{Rows: plan.PerToken, DType: tensor.F32, Width: 1, Stride: 64},
			{Rows: plan.PerRow, DType: tensor.F32, Width: 1, Stride: 64},
			{Rows: plan.PerToken, DType: tensor.F32, Width: wide, Stride: 4032, Offset: 64},
		},
		Steps: []plan.Step{
			{Op: plan.Embed, Args: []plan.Arg{{Kind: plan.FromIDs}, {}, {}, {Kind: plan.FromWeight}, {}, {}}, Results: []int{0}, Needed: 3},
			{Op: plan.Pool, Args: []plan.Arg{{Kind: plan.FromBuffer}, {Kind: plan.FromOffsets}}, Results: []int{1}, Needed: 1},
			{Op: plan.Linear, Args: []plan.Arg{{Kind: plan.FromBuffer}, {Kind: plan.FromWeight, Index: 1}, {}, {}, {}}, Results: []int{2},
				Needed: 2, Reduction: plan.Reduction{Instruction: "fma-f32"}},
		},
		Buckets: []plan.Bucket{{MaxTokens: 8}},
		Outputs: []plan.Output{{Name: "embedding", Buffer: 1, After: 1}, {Name: "hidden", Buffer: 2, After: 2, When: plan.OnDemand}},
	}
	p.Add(q)
	if err := plan.Check(p); err != nil {
		t.Fatal(err)
	}
	return q
}

func newDevice(t *testing.T, threads int) *Device {
	t.Helper()
	d, err := New(Options{Level: kernel.Best(), Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func miniBatch(rows, tokens int, wanted uint64) *executor.Batch {
	b := &executor.Batch{Wanted: wanted, Offsets: []int32{0}, Results: make([][]float32, 2)}
	for range rows {
		for i := range tokens {
			b.IDs = append(b.IDs, int32(i%10))
		}
		b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	}
	return b
}

// TestMemoryIsChecked before it is taken: at Load for the outputs wanted, and
// for a batch larger than what Load heard of.
func TestMemoryIsChecked(t *testing.T) {
	p := miniPlan(t)
	const tokens = 1 << 20
	const held = 2*groupTokens + 8 // tokens in the arena of one thread
	const always, demanded = (64+64)*held + 4*tokens, 4032*held + 4000*tokens
	fixed := int64(reserve + len(p.Data))
	for _, c := range []struct {
		what   string
		wanted uint64
		free   int64
		ok     bool
	}{
		{"exactly enough", 1, fixed + always, true},
		{"a byte less", 1, fixed + always - 1, false},
		{"an output on demand", 3, fixed + always + demanded - 1, false},
		{"an output on demand fits", 3, fixed + always + demanded, true},
		{"not known", 3, 0, true},
	} {
		d := newDevice(t, 1)
		d.available = func() int64 { return c.free }
		err := d.Load(p, tokens, c.wanted)
		if c.ok && err != nil || !c.ok && fault.KindOf(err) != fault.Memory {
			t.Errorf("%s: error %v", c.what, err)
		}
	}
	two := newDevice(t, 2)
	const room = (64 + 64 + 4032) * 8 // of a group, which may be moved where threads share it
	for free, ok := range map[int64]bool{2*room + fixed + (4+4000)*8: true, 2*room + fixed + (4+4000)*8 - 1: false} {
		two.available = func() int64 { return free }
		if err := two.Load(miniPlan(t), 8, 3); ok != (err == nil) {
			t.Errorf("two threads, %d bytes free: error %v", free, err)
		}
	}
	d := newDevice(t, 1)
	left := int64(1 << 40)
	d.available = func() int64 { return left }
	if err := d.Load(p, 8, 1); err != nil {
		t.Fatal(err)
	}
	left = 1
	if err := d.Run(miniBatch(1, 8, 1)); err != nil {
		t.Errorf("a batch that Load heard of: %v", err)
	}
	for _, b := range []*executor.Batch{miniBatch(2, 8, 1), miniBatch(1, 8, 2)} {
		if err := d.Run(b); fault.KindOf(err) != fault.Memory || !strings.Contains(err.Error(), "MB") {
			t.Errorf("a larger batch: error %v, want a memory fault", err)
		}
	}
}

// TestScratchIsChecked: a plan that asks for more scratch than there is memory
// is refused and not tried.
func TestScratchIsChecked(t *testing.T) {
	p := miniPlan(t)
	p.Model.MaxTokens, p.Buckets[0].MaxTokens = 1<<20, 1<<20
	p.Buffers[2].Width, p.Buffers[2].Stride = 3, 64
	p.Steps[2] = plan.Step{Op: plan.OTFAttention, Args: []plan.Arg{{Kind: plan.FromBuffer, Index: 2}, {Kind: plan.FromOffsets}, {}, {}},
		Params: plan.Params{Heads: 1, D: 1 << 20, Dv: 1}, Results: []int{0}}
	d := newDevice(t, 2)
	if err := d.Load(p, 8, 1); fault.KindOf(err) != fault.Memory {
		t.Errorf("error %v, want a memory fault", err)
	}
}

// TestPanicBecomesAnError and the device goes on, whichever worker it was.
func TestPanicBecomesAnError(t *testing.T) {
	d := newDevice(t, 3)
	if err := d.Load(miniPlan(t), 4096, 3); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		bad := miniBatch(200, 8, 3)
		bad.IDs[1500] = 10 // no kernel may see it; the executor refuses it before
		if err := d.Run(bad); err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Fatalf("error %v, want an internal one", err)
		}
		good := miniBatch(200, 8, 3)
		if err := d.Run(good); err != nil {
			t.Fatal(err)
		}
		if good.Results[0][199] != 3.5 || good.Results[1][7*1000] != 7 {
			t.Fatalf("results %v, %v", good.Results[0][199], good.Results[1][7000])
		}
	}
}

// TestMoreThreadsThanTasks: one token has one task in most steps.
func TestMoreThreadsThanTasks(t *testing.T) {
	d := newDevice(t, 7)
	if err := d.Load(miniPlan(t), 8, 3); err != nil {
		t.Fatal(err)
	}
	b := miniBatch(1, 1, 3)
	for range 100 {
		if err := d.Run(b); err != nil || len(b.Results[0]) != 1 || len(b.Results[1]) != 1000 {
			t.Fatalf("%v, %v", b.Results, err)
		}
	}
}

// TestCounters counts steps that run, by the weights they read.
func TestCounters(t *testing.T) {
	d := newDevice(t, 1)
	if err := d.Load(miniPlan(t), 8, 3); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []uint64{1, 3} {
		if err := d.Run(miniBatch(2, 3, wanted)); err != nil {
			t.Fatal(err)
		}
	}
	if want := (executor.Counters{Tokens: 12, Rows: 4, Batches: 2, MultiplyAdds: 6 * 1000}); d.Counters() != want {
		t.Errorf("counters %+v, want %+v", d.Counters(), want)
	}
}

// TestGridCoversTheProduct, each part once.
func TestGridCoversTheProduct(t *testing.T) {
	for _, rows := range []int{0, 1, 2, 31, 95, 96, 97, 500} {
		for _, panels := range []int{1, 2, 3, 4, 7, 24, 97} {
			for threads := 1; threads <= 5; threads++ {
				g := newGrid(rows, panels, threads)
				seen := make([]int, rows*panels)
				for i := range g.tasks() {
					from, to, first, last := g.at(i)
					if to-from > rowChunk {
						t.Fatalf("%+v: task %d has %d rows", g, i, to-from)
					}
					for r := from; r < to; r++ {
						for p := first; p < last; p++ {
							seen[r*panels+p]++
						}
					}
				}
				for i, n := range seen {
					if n != 1 {
						t.Fatalf("%+v: row %d, panel %d in %d tasks", g, i/panels, i%panels, n)
					}
				}
			}
		}
	}
}

func TestDeviceRefuses(t *testing.T) {
	if _, err := New(Options{Threads: 0}); fault.KindOf(err) != fault.Usage {
		t.Errorf("no threads: %v", err)
	}
	p := miniPlan(t)
	p.Target = "sm_80:f16"
	if err := newDevice(t, 1).Load(p, 8, 1); fault.KindOf(err) != fault.Unfit {
		t.Errorf("another target: %v", err)
	}
	if _, err := newDevice(t, 1).Program(p.Plan); fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "sm_80:f16") {
		t.Errorf("a plan for another target: %v, want an unfit fault that names it", err)
	}
	p.Target = Target
	second := *p
	second.Target, p.Target = Target, "cpu:int16"
	p.Programs = append([]*plan.Program{{Plan: p.Plan, Target: "sm_80:f16"}}, p, &second)
	if q, err := newDevice(t, 1).Program(p.Plan); err != nil || q != p {
		t.Errorf("a plan for two CPU targets: %v, want the first", err)
	}
	p.Programs, p.Target = []*plan.Program{p}, Target
	if q, err := newDevice(t, 1).Program(p.Plan); err != nil || q != p {
		t.Errorf("a plan for the CPU: %v", err)
	}
}

// TestProfile: the events of a batch are all of its steps and tasks, and their
// work is what the counters say.
func TestProfile(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		tasks, macs := map[int]int{}, 0.0
		d, err := New(Options{Level: kernel.Best(), Threads: threads, Profile: func(p *plan.Program, events []Event) {
			for _, e := range events {
				if e.To.Before(e.From) || e.Busy > e.To.Sub(e.From) || e.Worker >= threads || e.Tokens == 0 {
					t.Errorf("event %+v", e)
				}
				tasks[e.Step] += e.Tasks
				macs += e.MACs
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Load(miniPlan(t), 4096, 3); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 200} {
			if err := d.Run(miniBatch(rows, 8, 3)); err != nil {
				t.Fatal(err)
			}
		}
		if len(tasks) != 3 || tasks[0] == 0 || tasks[1] == 0 || tasks[2] == 0 {
			t.Errorf("%d threads: tasks of steps %v", threads, tasks)
		}
		if want := float64(d.Counters().MultiplyAdds); macs < 0.999*want || macs > 1.001*want {
			t.Errorf("%d threads: %g multiply-adds in events, %g counted", threads, macs, want)
		}
	}
}

// TestArenaIsBounded by what is checked for, however uneven rows are, with any number of threads.
func TestArenaIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	batches := map[string][]int{"short rows and a long one": append(slices.Repeat([]int{1}, 3584), 512), "long rows": slices.Repeat([]int{512}, 40), "one row": {512}, "a token": {1}}
	for i := range 40 {
		var lengths []int
		for range 1 + rng.IntN(300) {
			lengths = append(lengths, 1+rng.IntN(1+rng.IntN(512)))
		}
		batches[fmt.Sprint("random ", i)] = lengths
	}
	p := miniPlan(t)
	p.Buckets[len(p.Buckets)-1].MaxTokens = 512
	for _, threads := range []int{1, 2, 3, 4, 16, 64, 300} {
		d := newDevice(t, threads)
		if err := d.Load(p, 8, 3); err != nil {
			t.Fatal(err)
		}
		for what, lengths := range batches {
			d.batch, d.room = lengthsBatch(lengths), room{}
			d.cutGroups()
			d.layLanes()
			tokens, rows := d.mostInArena(d.tokens(), d.rows())
			size := d.sizesOf(3).arena
			if len(d.arena[0]) > tokens*size[0]/elementBytes || len(d.arena[1]) > rows*size[1]/elementBytes {
				t.Errorf("%s, %d threads: the arena has %d and %d values, %d tokens and %d rows were checked for", what, threads, len(d.arena[0]), len(d.arena[1]), tokens, rows)
			}
			if tokens > 4*threads*512*2 {
				t.Errorf("%s, %d threads: %d tokens are checked for", what, threads, tokens)
			}
		}
	}
}

// lengthsBatch is rows of these lengths.
func lengthsBatch(lengths []int) *executor.Batch {
	b := miniBatch(0, 0, 3)
	for _, n := range lengths {
		b.IDs = append(b.IDs, make([]int32, n)...)
		b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	}
	return b
}

// TestGroups cover a batch, each row once, in order; few tokens are one group;
// lanes are no more than threads, and their parts of the arena do not overlap.
func TestGroups(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		d := newDevice(t, threads)
		if err := d.Load(miniPlan(t), 4096, 3); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ rows, tokens, groups int }{{1, 1, 1}, {1, 8, 1}, {31, 8, 1}, {32, 8, 2}, {200, 8, 12}, {4096, 1, 32}, {8000, 8, 500}} {
			d.batch = miniBatch(c.rows, c.tokens, 3)
			d.begin()
			if d.groupCount() != c.groups || d.lanes != min(threads, c.groups) {
				t.Errorf("%d rows of %d tokens: %d groups in %d lanes, want %d", c.rows, c.tokens, d.groupCount(), d.lanes, c.groups)
			}
			for i, g := range d.groups[:d.lanes] {
				tokens, rows := d.largestGroup()
				if each := tokens * d.sizesOf(3).arena[0] / elementBytes; len(g.arena[0]) != each || &g.arena[0][0] != &d.arena[0][i*each] {
					t.Fatalf("lane %d has %d values, want %d of its own", i, len(g.arena[0]), each)
				}
				if each := rows * d.sizesOf(3).arena[1] / elementBytes; len(g.arena[1]) != each || &g.arena[1][0] != &d.arena[1][i*each] {
					t.Fatalf("lane %d has %d values by row, want %d of its own", i, len(g.arena[1]), each)
				}
			}
			row := 0
			for g := d.groups[0]; d.beginGroup(g); row += g.rows() {
				if g.firstRow != row || g.firstToken != row*c.tokens || g.tokens() != g.rows()*c.tokens || g.rows() == 0 {
					t.Fatalf("group of %d rows begins at row %d, token %d; want row %d", g.rows(), g.firstRow, g.firstToken, row)
				}
			}
			if row != c.rows {
				t.Errorf("groups have %d rows of %d", row, c.rows)
			}
		}
	}
}

// TestGroupsFillTheirResults: each row's and each token's results are at its place.
func TestGroupsFillTheirResults(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		d := newDevice(t, threads)
		if err := d.Load(miniPlan(t), 4096, 3); err != nil {
			t.Fatal(err)
		}
		b := &executor.Batch{Wanted: 3, Offsets: []int32{0}, Results: make([][]float32, 2)}
		var means []float32
		for i := range 300 {
			sum := 0
			n := 1 + i%8
			for range n {
				id := (i*7 + len(b.IDs)*3) % 10
				sum += id
				b.IDs = append(b.IDs, int32(id))
			}
			means = append(means, float32(sum)/float32(n))
			b.Offsets = append(b.Offsets, int32(len(b.IDs)))
		}
		if err := d.Run(b); err != nil {
			t.Fatal(err)
		}
		if d.groupCount() < 5 {
			t.Fatalf("%d groups, want several", d.groupCount())
		}
		for i, want := range means {
			if got := b.Results[0][i]; got != want {
				t.Fatalf("%d threads: row %d is %v, want %v", threads, i, got, want)
			}
		}
		for i, id := range b.IDs {
			if got := b.Results[1][i*1000]; got != float32(id) {
				t.Fatalf("%d threads: token %d is %v, want %v", threads, i, got, id)
			}
		}
	}
}

// TestCutAttention: tasks are all items, in order, and short rows share one.
func TestCutAttention(t *testing.T) {
	p := &plan.Params{Heads: 12, D: 32, Dv: 32}
	for _, c := range []struct{ rows, tokens, tasks int }{{1, 1, 1}, {1, 16, 3}, {32, 16, 96}, {1, 128, 12}, {2, 300, 72}, {3, 5, 1}} {
		b := miniBatch(c.rows, c.tokens, 1)
		g := &group{Batch: *b}
		g.cutQueries()
		n := g.cutAttention(p)
		if n != c.tasks || g.attention[0] != 0 || g.attention[n] != len(g.queries)*p.Heads {
			t.Errorf("%d rows of %d tokens: %d tasks %v of %d items, want %d tasks", c.rows, c.tokens, n, g.attention, len(g.queries)*p.Heads, c.tasks)
		}
		for i := range n {
			if g.attention[i] >= g.attention[i+1] {
				t.Errorf("%d rows of %d tokens: task %d is empty", c.rows, c.tokens, i)
			}
		}
	}
}

// TestRunDoesNotAllocate once buffers have grown, whatever the groups.
func TestRunDoesNotAllocate(t *testing.T) {
	for _, rows := range []int{1, 300} {
		d := newDevice(t, 2)
		if err := d.Load(miniPlan(t), 4096, 3); err != nil {
			t.Fatal(err)
		}
		b := miniBatch(rows, 8, 3)
		if n := testing.AllocsPerRun(50, func() {
			if err := d.Run(b); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%d rows: %g allocations a Run", rows, n)
		}
	}
}

// TestBusy: a worker is busy with all of its tasks, and with nothing between them.
func TestBusy(t *testing.T) {
	const each = 2 * time.Millisecond
	busy, tasks := time.Duration(0), 0
	d, err := New(Options{Level: kernel.Best(), Threads: 1, Profile: func(p *plan.Program, events []Event) {
		for _, e := range events {
			if e.Step == 0 {
				busy, tasks = busy+e.Busy, tasks+e.Tasks
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Load(miniPlan(t), 4096, 3); err != nil {
		t.Fatal(err)
	}
	own := d.steps[0].task
	d.steps[0].task = func(g *group, worker, task int) {
		time.Sleep(each)
		own(g, worker, task)
	}
	if err := d.Run(miniBatch(8, 8, 3)); err != nil {
		t.Fatal(err)
	}
	if tasks < 2 || busy < time.Duration(tasks)*each {
		t.Errorf("busy for %v with %d tasks of %v", busy, tasks, each)
	}
}

// TestPeak is a rate for each loop, of all threads; there is none in portable Go.
func TestPeak(t *testing.T) {
	for _, r := range newDevice(t, 2).Peak(3) {
		if r < 0.1 || r > 1e5 {
			t.Errorf("peak %g GFLOP/s", r)
		}
	}
	for target, most := range map[string]float64{"cpu:int16": 2.6, "cpu:int8": 5.2} { // of the rate of floats, at most
		d := newDevice(t, 1)
		floats := slices.Max(d.Peak(20))
		if err := d.Load(integerPlan(t, target, true), 8, 3); err != nil {
			t.Fatal(err)
		}
		if got := slices.Max(d.Peak(20)) / floats; got < 0.6 || got > most {
			t.Errorf("%s: the peak is %g times that of float32", target, got)
		}
	}
	d, err := New(Options{Level: kernel.Generic, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := d.Peak(3); got != nil {
		t.Errorf("peak %v at level generic", got)
	}
}
