package executor

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"etc/formats/rows"
)

// A signal is a device that says how many batches it has run.
type signal struct {
	fakeDevice
	ran chan int
}

func (d *signal) Run(b *Batch) error {
	err := d.fakeDevice.Run(b)
	d.ran <- len(d.batches)
	return err
}

// TestWritingOverlaps: while results of one window are written, the next one is
// read, tokenised and computed, and the results do not change under the writer.
func TestWritingOverlaps(t *testing.T) {
	defer noLeak(t)()
	d := &signal{ran: make(chan int, 1000)}
	x, err := New(testPlan(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := newChannel(io.EOF)
	src.rows <- row(0)
	var kept float32
	emitted := 0
	err = x.Run(context.Background(), src, func(r *Result) error {
		emitted++
		if emitted > 1 {
			return nil
		}
		kept = r.Vector[0]
		<-d.ran // of this window
		src.rows <- row(1)
		close(src.rows)
		select {
		case <-d.ran:
		case <-time.After(10 * time.Second):
			t.Error("the second window waits for the first one to be written")
		}
		if r.Vector[0] != kept || kept != sumOf(row(0)) {
			t.Errorf("the result that is being written became %v, was %v", r.Vector[0], kept)
		}
		return nil
	})
	if err != nil || emitted != 2 {
		t.Errorf("%d results, error %v", emitted, err)
	}
	if times := x.Times(); times.Compute <= 0 || times.Tokenise <= 0 || times.Write <= 0 {
		t.Errorf("times %+v", times)
	}
}

// TestBatchesAreSorted by the lengths of their rows within a window and bucket.
func TestBatchesAreSorted(t *testing.T) {
	x, d := newFake(t, Options{})
	var all []*rows.Row
	for i := range 20 { // one window
		all = append(all, row(i))
	}
	last := 0
	if err := x.Run(context.Background(), List(all), func(r *Result) error {
		if r.Line != last {
			t.Errorf("result of line %d, want %d", r.Line, last)
		}
		last++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	lengths := map[int][]int{}
	for _, b := range d.batches {
		lengths[b.bucket] = append(lengths[b.bucket], b.lengths...)
	}
	for bucket, l := range lengths {
		if !slices.IsSorted(l) {
			t.Errorf("bucket %d: lengths %v", bucket, l)
		}
	}
}
