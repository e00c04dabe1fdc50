package gpu

import (
	"slices"
	"strings"
	"testing"

	"etc/compiler"
	"etc/executor"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// gpt2 has outputs of every kind: always, on demand, and taps.
func gpt2(t *testing.T) *plan.Program {
	return compiled(t, "GPT2LMHeadModel", compiler.Options{Targets: []string{"sm_80:f16"}, Buckets: []int{16, 130}}).Programs[0]
}

func loaded(t *testing.T, c *card, p *plan.Program, tokens int, wanted uint64) *Device {
	t.Helper()
	d := New(c)
	if err := d.Load(p, tokens, wanted); err != nil {
		t.Fatal(err)
	}
	return d
}

func run(t *testing.T, d *Device, b *executor.Batch) {
	t.Helper()
	if err := d.Run(b); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, d *Device) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOutputs: what is downloaded is each output from its buffer or its tap,
// no more rows than there are, and results are its values without gaps.
func TestOutputs(t *testing.T) {
	p := gpt2(t)
	c := newCard(t, 80)
	d := loaded(t, c, p, 130, everything(p))
	b := batchOf(p, 0, 3, 1, 16)
	if err := d.Start(b); err != nil {
		t.Fatal(err)
	}
	w := c.works[0]
	ops := w.Sequence.(*cardSequence).ops
	if len(w.Download) != len(p.Outputs) || len(w.Upload) != 1 || w.Upload[0].Device != d.slots[0].block {
		t.Fatalf("%d uploads, %d downloads, want 1 and %d", len(w.Upload), len(w.Download), len(p.Outputs))
	}
	taps := map[Address]bool{}
	for i, o := range p.Outputs {
		from := w.Download[i].Device
		at := d.bufferAt(o.Buffer, shapeOf(b))
		if n := d.outputBytes(i, 20, 3); len(w.Download[i].Host) != n {
			t.Errorf("%s: %d bytes, want %d", o.Name, len(w.Download[i].Host), n)
		}
		if o.When != plan.Tap {
			if from != at {
				t.Errorf("%s comes from %#x, want %#x", o.Name, from, at)
			}
			continue
		}
		copied := slices.IndexFunc(ops, func(op Operation) bool { return op.Function == nil && op.To == from })
		if copied < 0 || taps[from] || ops[copied].From != at || ops[copied].Bytes < int64(len(w.Download[i].Host)) {
			t.Errorf("tap %s: operation %d copies to %#x", o.Name, copied, from)
			continue
		}
		taps[from] = true
		if last := p.Steps[o.After].Label; !strings.HasPrefix(ops[copied-1].Label, last) && ops[copied-1].Function != nil {
			t.Errorf("tap %s is copied behind %q, want %q", o.Name, ops[copied-1].Label, last)
		}
	}
	if len(taps) == 0 {
		t.Fatal("the plan has no taps")
	}
	if err := d.Wait(b); err != nil {
		t.Fatal(err)
	}
	for i, o := range p.Outputs {
		buffer := p.Buffers[o.Buffer]
		want := appendFloats(nil, w.Download[i].Host[buffer.Stride:], buffer.Width, buffer.DType)
		n := 20
		if buffer.Rows == plan.PerRow {
			n = 3
		}
		if got := b.Results[i]; len(got) != n*buffer.Width || !slices.Equal(got[buffer.Width:2*buffer.Width], want) {
			t.Errorf("%s: %d values, the second row %v, want %d, %v", o.Name, len(got), got[buffer.Width:2*buffer.Width], n*buffer.Width, want)
		}
	}
	closed(t, d)
}

// TestWantedOnly: steps that no wanted output needs are not launched.
func TestWantedOnly(t *testing.T) {
	p := gpt2(t)
	c := newCard(t, 80)
	d := loaded(t, c, p, 130, everything(p))
	b := batchOf(p, 0, 5)
	run(t, d, b)
	b.Wanted = 1
	run(t, d, b)
	if all, some := len(c.ran[0].ops), len(c.ran[1].ops); some >= all {
		t.Errorf("%d operations for one output, %d for all", some, all)
	}
	closed(t, d)
}

// TestGrowth: a batch larger than was loaded for waits for the one under way,
// which keeps its results; nothing made before is used again.
func TestGrowth(t *testing.T) {
	p := gpt2(t)
	c := newCard(t, 80)
	d := loaded(t, c, p, 16, everything(p))
	small, large := batchOf(p, 0, 16), batchOf(p, 1, 130, 130)
	if err := d.Start(small); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(large); err != nil { // the card complains where memory in use is given back
		t.Fatal(err)
	}
	if c.waits == 0 || len(c.open) != 1 {
		t.Errorf("%d waits, %d sequences: want that of the large batch alone", c.waits, len(c.open))
	}
	for _, b := range []*executor.Batch{small, large} {
		if err := d.Wait(b); err != nil || len(b.Results[0]) == 0 {
			t.Errorf("%d results: %v", len(b.Results[0]), err)
		}
	}
	made := c.made
	run(t, d, small)
	run(t, d, large)
	if c.made != made+1 {
		t.Errorf("%d sequences are made again, want that of the small batch", c.made-made)
	}
	closed(t, d)
}

// TestSequencesAreKept: batches of one shape in one slot run one sequence; of
// many shapes the 32 used last are kept.
func TestSequencesAreKept(t *testing.T) {
	p := gpt2(t)
	c := newCard(t, 80)
	d := loaded(t, c, p, 130, everything(p))
	shaped := func(i int) *executor.Batch { // one shape for each i, all in the memory of the first
		b := batchOf(p, 0, 5)
		b.Wanted = everything(p) - uint64(i)
		return b
	}
	for range 3 { // each slot in turn
		run(t, d, batchOf(p, 0, 5))
		run(t, d, batchOf(p, 0, 16))
	}
	if c.made != Slots {
		t.Errorf("%d sequences for one shape, want one a slot", c.made)
	}
	for i := range 20 {
		run(t, d, shaped(i))
		run(t, d, shaped(i))
	}
	if len(c.open) != mostSequences || c.made != 40 {
		t.Errorf("%d sequences of %d are kept, want %d of 40", len(c.open), c.made, mostSequences)
	}
	for q := range c.open {
		if q.number <= 40-mostSequences {
			t.Errorf("sequence %d is kept", q.number)
		}
	}
	run(t, d, shaped(19))
	run(t, d, shaped(4))
	if c.made != 40 {
		t.Error("a sequence that is kept is made again")
	}
	closed(t, d)
}

// TestMemoryIsChecked: what does not fit is refused before any is taken, at
// Load and when batches grow, with what is needed and what is free. Weights of
// other programs do not count.
func TestMemoryIsChecked(t *testing.T) {
	whole := compiled(t, "GPT2LMHeadModel", compiler.Options{Targets: []string{"cpu:f32", "sm_80:f16"}, Buckets: []int{16, 130}})
	p := whole.Program("sm_80")
	c := newCard(t, 80)
	d := loaded(t, c, p, 300, everything(p))
	b := batchOf(p, 0, slices.Repeat([]int{1}, 300)...)
	run(t, d, b)
	run(t, d, b)
	taken := int64(0)
	for _, m := range c.live {
		taken += m.Bytes
	}
	closed(t, d)

	c = newCard(t, 80)
	c.free = taken
	closed(t, loaded(t, c, p, 300, everything(p)))
	c = newCard(t, 80)
	c.free = taken - 1
	d = New(c)
	err := d.Load(p, 300, everything(p))
	if fault.KindOf(err) != fault.Memory || len(c.order) > 0 || !strings.Contains(err.Error(), " MB are free") || !strings.Contains(err.Error(), "batches of 300 tokens need ") {
		t.Errorf("%v, with %d pieces of memory taken", err, len(c.order))
	}
	closed(t, d)

	c = newCard(t, 80)
	d = loaded(t, c, p, 16, everything(p))
	c.free = 1 << 16
	if err := d.Run(batchOf(p, 1, slices.Repeat([]int{130}, 30)...)); fault.KindOf(err) != fault.Memory {
		t.Errorf("a batch that grows past what is free: %v", err)
	}
	run(t, d, batchOf(p, 0, 16))
	closed(t, d)
}

// TestFailuresLeaveADevice: after memory that is not had, or work that does not
// start, the device runs what it can, with memory in use, and gives all back.
func TestFailuresLeaveADevice(t *testing.T) {
	p := gpt2(t)
	for _, name := range []string{"batch", "taps", "activations of tokens", "activations of rows", "workspace"} {
		c := newCard(t, 80)
		d := loaded(t, c, p, 16, everything(p))
		small, large := batchOf(p, 0, 3, 4), batchOf(p, 1, slices.Repeat([]int{130}, 30)...)
		run(t, d, small)
		run(t, d, small)
		c.failAlloc = name
		for range 3 {
			if err := d.Run(large); fault.KindOf(err) != fault.Memory {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.failAlloc = ""
		run(t, d, small)
		run(t, d, large)
		closed(t, d)
	}
	c := newCard(t, 80)
	d := loaded(t, c, p, 16, everything(p))
	c.failStart = true
	for range 3 {
		if err := d.Run(batchOf(p, 0, 3)); err == nil || err.Error() != "no start" {
			t.Errorf("%v, want that of the driver", err)
		}
	}
	c.failStart = false
	run(t, d, batchOf(p, 0, 3))
	closed(t, d)
	for _, w := range p.Weights[:3] {
		c := newCard(t, 80)
		c.failAlloc = w.Name
		d := New(c)
		if err := d.Load(p, 16, 1); fault.KindOf(err) != fault.Memory {
			t.Errorf("%s: %v", w.Name, err)
		}
		closed(t, d)
	}
}

// TestImage: machine code of the device's own generation, as near as there is,
// before PTX, the latest that the device takes; what is not there is said.
func TestImage(t *testing.T) {
	cubin := func(sm int) plan.Image { return plan.Image{SM: sm} }
	ptx := func(sm int) plan.Image { return plan.Image{SM: sm, PTX: true} }
	both := []plan.Image{cubin(80), ptx(80), cubin(90)}
	for _, c := range []struct {
		sm     int
		images []plan.Image
		want   string
	}{
		{80, both, "sm_80"},
		{86, both, "sm_80"},
		{89, []plan.Image{cubin(80), cubin(86), ptx(80)}, "sm_86"},
		{90, both, "sm_90"},
		{100, both, "compute_80"},
		{120, []plan.Image{ptx(80), ptx(90), cubin(90)}, "compute_90"},
		{80, []plan.Image{ptx(80), cubin(86)}, "compute_80"},
		{0, both, "compute_80"}, // the simulator
	} {
		k := &plan.Kernel{Kernel: launch.Make("pool", nil), Images: c.images}
		got, err := New(newCard(t, c.sm)).image(k)
		if err != nil || got.String() != c.want {
			t.Errorf("device %d: %v, %v, want %s", c.sm, got, err, c.want)
		}
	}
	for _, c := range []struct {
		sm     int
		images []plan.Image
		want   string
	}{
		{80, nil, "--source-only"},
		{75, both, "kernel pool is compiled for sm_80, compute_80, sm_90, card needs sm_75"},
		{0, []plan.Image{cubin(80)}, "kernel pool is compiled for sm_80"},
	} {
		k := &plan.Kernel{Kernel: launch.Make("pool", nil), Images: c.images}
		if _, err := New(newCard(t, c.sm)).image(k); fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), c.want) {
			t.Errorf("device %d: %v, want %s", c.sm, err, c.want)
		}
	}
}

// TestProgram: that for the highest architecture that the device has; the first
// in the simulator, which has none.
func TestProgram(t *testing.T) {
	for _, c := range []struct {
		sm      int
		targets string
		want    string
	}{
		{80, "cpu:f32,sm_80:f16,sm_90:f16", "sm_80:f16"},
		{90, "sm_90:bf16,sm_80:f16", "sm_90:bf16"},
		{90, "sm_80:f16,sm_80:bf16,cpu:f32", "sm_80:f16"},
		{86, "sm_90:f16,sm_80:bf16", "sm_80:bf16"},
		{120, "sm_80:f16,sm_90:f16", "sm_90:f16"},
		{0, "cpu:f32,sm_90:f16,sm_80:f16", "sm_90:f16"},
	} {
		p := &plan.Plan{}
		for name := range strings.SplitSeq(c.targets, ",") {
			p.Add(&plan.Program{Target: name})
		}
		if got, err := New(newCard(t, c.sm)).Program(p); err != nil || got.Target != c.want {
			t.Errorf("device %d of %s: %v, want %s", c.sm, c.targets, err, c.want)
		}
	}
	p := &plan.Plan{}
	p.Add(&plan.Program{Target: "cpu:f32"})
	p.Add(&plan.Program{Target: "sm_90:f16"})
	_, err := New(newCard(t, 80)).Program(p)
	if fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "cpu:f32, sm_90:f16") || !strings.Contains(err.Error(), "--target sm_80") {
		t.Errorf("%v, want the targets that the plan has and the one wanted", err)
	}
	err = New(newCard(t, 80)).Load(p.Programs[0], 1, 1)
	if fault.KindOf(err) != fault.Unfit {
		t.Errorf("a program of the CPU: %v", err)
	}
	p = &plan.Plan{Kernels: []plan.Kernel{{Kernel: launch.Make("pool", nil)}}}
	p.Add(&plan.Program{Target: "sm_80:f16", Steps: []plan.Step{{Launches: []plan.Launch{{Kernels: []int{0}}}}}})
	if _, err := New(struct{ Driver }{newCard(t, 80)}).Program(p); fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "--source-only") {
		t.Errorf("a program without code: %v", err)
	}
}

// TestWorkIsCounted: the same batch again is the same work again.
func TestWorkIsCounted(t *testing.T) {
	p := gpt2(t)
	d := loaded(t, newCard(t, 80), p, 130, everything(p))
	run(t, d, batchOf(p, 0, 4))
	one := d.Counters()
	run(t, d, batchOf(p, 0, 4))
	if two := d.Counters(); one.Tokens != 4 || one.Rows != 1 || one.Batches != 1 || one.MultiplyAdds == 0 || two.MultiplyAdds != 2*one.MultiplyAdds {
		t.Errorf("%+v, then %+v", one, two)
	}
	closed(t, d)
}
