//go:build cuda && linux && amd64

package cuda

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"etc/executor/cuda/driver"
	"etc/executor/cuda/driver/drivertest"
	"etc/executor/gpu"
	"etc/fault"
)

// floats are numbers as they lie in memory.
func floats(list ...float32) (b []byte) {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// A batch is what a slot holds: x, uploaded, and y = copy of x + 2 x.
type batch struct {
	x, y     gpu.Address
	in, out  []byte
	sequence gpu.Sequence
}

// newBatch makes a batch of two numbers, whose sum lies in memory that batches share.
func newBatch(d gpu.Driver, axpy gpu.Function, shared gpu.Address) *batch {
	b := &batch{x: must(d.Alloc("x", 8)), y: shared, in: must(d.Staging(8)), out: must(d.Staging(8))}
	b.sequence = must(d.Prepare([]gpu.Operation{
		{Label: "copy", To: b.y, From: b.x, Bytes: 8},
		{Label: "nothing", To: b.y, From: b.x},
		{Label: "0 axpy", Function: axpy, Grid: [3]int{1, 2, 3}, Threads: 32, Shared: 100000,
			Args: []gpu.Arg{{Bits: uint64(b.y), Size: 8}, {Bits: uint64(b.x), Size: 8}, {Bits: 2, Size: 4}, {Bits: uint64(math.Float32bits(2)), Size: 4}}},
	}))
	return b
}

func (b *batch) work() gpu.Work {
	return gpu.Work{Upload: []gpu.Transfer{{Host: b.in, Device: b.x}, {}}, Sequence: b.sequence, Download: []gpu.Transfer{{Host: b.out, Device: b.y}}}
}

func (b *batch) free(d gpu.Driver) error {
	b.sequence.Close()
	d.FreeStaging(b.in)
	d.FreeStaging(b.out)
	return d.Free(b.x)
}

// TestBatches: with two batches under way, each gets its own numbers, whether
// the device is as late or as early as it may be.
func TestBatches(t *testing.T) {
	for _, early := range []string{"0", "1"} {
		t.Run(early, func(t *testing.T) {
			if !drivertest.Apart(t, "FAKE_CUDA_EARLY="+early) {
				return
			}
			d := open(t)
			defer mustGiveBack(t, d)
			m := must(d.Load([]byte("axpy_ppif"), false))
			axpy := must(m.Function("axpy_ppif", 100000))
			shared := must(d.Alloc("y", 8))
			slots := []*batch{newBatch(d, axpy, shared), newBatch(d, axpy, shared)}
			for i := range 7 {
				if i >= gpu.Slots {
					finish(t, d, slots, i-gpu.Slots)
				}
				b := slots[i%gpu.Slots]
				copy(b.in, floats(float32(i), float32(10*i)))
				try(t, d.Start(i%gpu.Slots, b.work()))
			}
			finish(t, d, slots, 5)
			finish(t, d, slots, 6)
			for _, b := range slots {
				try(t, b.free(d))
			}
			try(t, d.Free(shared))
			try(t, m.Close())
		})
	}
}

// finish waits for batch i, and compares its result: three times its input.
func finish(t *testing.T, d gpu.Driver, slots []*batch, i int) {
	t.Helper()
	try(t, d.Wait(i%gpu.Slots))
	if got, want := slots[i%gpu.Slots].out, floats(float32(3*i), float32(30*i)); !slices.Equal(got, want) {
		t.Errorf("batch %d: % x, want % x", i, got, want)
	}
}

// TestUploadsStayBehindTheirSlot: a slot that starts again before Wait does not
// write over the input that its batch before still reads.
func TestUploadsStayBehindTheirSlot(t *testing.T) {
	if !drivertest.Apart(t, "FAKE_CUDA_EARLY=1") {
		return
	}
	d := open(t)
	m := must(d.Load([]byte("axpy_ppif"), false))
	b := newBatch(d, must(m.Function("axpy_ppif", 100000)), must(d.Alloc("y", 8)))
	copy(b.in, floats(1, 2))
	try(t, d.Start(0, b.work()))
	second := b.work()
	second.Upload = []gpu.Transfer{{Host: must(d.Staging(8)), Device: b.x}}
	second.Download = nil
	copy(second.Upload[0].Host, floats(100, 200))
	try(t, d.Start(0, second))
	try(t, d.Wait(0))
	if want := floats(3, 6); !slices.Equal(b.out, want) {
		t.Errorf("first batch: % x, want % x", b.out, want)
	}
}

// TestCapture: a sequence is captured once, as one graph, on a thread's own terms.
func TestCapture(t *testing.T) {
	d := open(t)
	m := must(d.Load([]byte("axpy_ppif"), false))
	b := newBatch(d, must(m.Function("axpy_ppif", 100000)), must(d.Alloc("y", 8)))
	for range 3 {
		try(t, d.Start(0, b.work()))
		try(t, d.Wait(0))
	}
	got := strings.Join(drivertest.Calls(t), "; ")
	if !strings.HasPrefix(got, "capture mode 1; launch axpy_ppif grid 1 2 3 block 32 1 1 shared 100000 extra 0 args ") || !strings.HasSuffix(got, " 2 40000000; instantiate 2 flags 0") {
		t.Errorf("calls: %s", got)
	}
}

// TestEarly: a kernel starts before the one before it has ended where both wait
// for theirs, and nothing else does.
func TestEarly(t *testing.T) {
	d := open(t)
	waits := must(must(d.Load([]byte("axpy_ppif etc_kernels_wait"), false)).Function("axpy_ppif", 0))
	plain := must(must(d.Load([]byte("axpy_ppif"), false)).Function("axpy_ppif", 0))
	at := must(d.Alloc("y", 8))
	launch := func(f gpu.Function) gpu.Operation {
		return gpu.Operation{Function: f, Grid: [3]int{1, 2, 3}, Threads: 32, Args: []gpu.Arg{{Bits: uint64(at), Size: 8}, {Bits: uint64(at), Size: 8}, {Bits: 2, Size: 4}, {Size: 4}}}
	}
	q := must(d.Prepare([]gpu.Operation{launch(waits), launch(waits), launch(plain), launch(waits), launch(waits), {To: at, From: at, Bytes: 8}, launch(waits), launch(waits)}))
	var got string
	for _, call := range drivertest.Calls(t) {
		switch {
		case strings.HasPrefix(call, "launch early axpy_ppif grid 1 2 3 block 32 1 1 shared 0 extra 0 args "):
			got += "early "
		case strings.HasPrefix(call, "launch axpy_ppif "):
			got += "plain "
		}
	}
	if want := "plain early plain plain early plain early "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	try(t, q.Close())
}

// TestKernelThatFails: the error says what happened, and so does each later one.
func TestKernelThatFails(t *testing.T) {
	d := open(t)
	m := must(d.Load([]byte("crash_i"), false))
	crash := must(m.Function("crash_i", 0))
	w := gpu.Work{Sequence: must(d.Prepare([]gpu.Operation{{Function: crash, Grid: [3]int{1, 1, 1}, Threads: 32, Args: []gpu.Arg{{Size: 4}}}}))}
	try(t, d.Start(1, w))
	for range 2 {
		if err := d.Wait(1); fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), "illegal memory access") {
			t.Errorf("Wait: %v", err)
		}
	}
	if err := d.Start(0, w); driver.Code(err) != 700 {
		t.Errorf("Start: %v", err)
	}
}

// TestLaunchThatIsRefused: the operation is named, and its graph is given back.
func TestLaunchThatIsRefused(t *testing.T) {
	d := open(t)
	m := must(d.Load([]byte("k_i"), false))
	f := must(m.Function("k_i", 0))
	_, err := d.Prepare([]gpu.Operation{{Label: "3 linear", Function: f, Grid: [3]int{1, 1, 1}, Threads: 32, Shared: 49153, Args: []gpu.Arg{{Size: 4}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "3 linear: cuda: cuLaunchKernel: ") {
		t.Errorf("Prepare: %v", err)
	}
	try(t, m.Close())
	mustGiveBack(t, d)
}
