package executor

import (
	"context"
	"errors"
	"slices"
	"testing"

	"etc/formats/rows"
)

// A slowDevice has batches under way: a batch is computed when it is waited
// for, from what was in it then.
type slowDevice struct {
	fakeDevice
	flying  []*Batch
	most    int
	started int
	failAt  int // the wait that fails
	waited  int
	onStart func(started int)
}

func (d *slowDevice) Start(b *Batch) error {
	if slices.Contains(d.flying, b) {
		return errors.New("a batch is started that is under way")
	}
	d.flying = append(d.flying, b)
	d.most = max(d.most, len(d.flying))
	if d.started++; d.onStart != nil {
		d.onStart(d.started)
	}
	return nil
}

func (d *slowDevice) Wait(b *Batch) error {
	if len(d.flying) == 0 || d.flying[0] != b {
		return errors.New("a batch is waited for out of order")
	}
	d.flying = d.flying[1:]
	if d.waited++; d.waited == d.failAt {
		return errors.New("no more power")
	}
	return d.Run(b)
}

// TestFlights: two batches are under way at once, never more, each is left
// alone until it has ended, and the answers are those of a device that takes
// one after another. Between windows nothing is under way.
func TestFlights(t *testing.T) {
	var list []*rows.Row
	for i := range 400 {
		list = append(list, row(i))
	}
	answers := func(x *Executor) (all []float32, err error) {
		err = x.Run(context.Background(), List(slices.Clone(list)), func(r *Result) error {
			if len(all) != r.Line {
				t.Fatalf("line %d, want %d", r.Line, len(all))
			}
			if r.Err != nil {
				all = append(all, -1)
			} else {
				all = append(all, r.Vector[0])
			}
			return nil
		})
		return all, err
	}
	plain, _ := newFake(t, Options{})
	want, err := answers(plain)
	if err != nil {
		t.Fatal(err)
	}
	d := &slowDevice{}
	x, err := New(testPlan(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := answers(x)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("other answers with batches under way: %v", err)
	}
	if d.most != 2 || len(d.flying) != 0 || d.started < 10 {
		t.Errorf("%d batches, at most %d under way, %d at the end: want 2 and 0", d.started, d.most, len(d.flying))
	}
	broken := &slowDevice{failAt: 3}
	x, err = New(testPlan(), broken, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := answers(x); err == nil || err.Error() != "no more power" {
		t.Errorf("%v, want that of the third wait", err)
	}
}

// TestFlightsThatAreAbandoned: a Run that is cancelled or fails leaves nothing
// under way, so that the next one answers as the first would have.
func TestFlightsThatAreAbandoned(t *testing.T) {
	var list []*rows.Row
	for i := range 200 {
		list = append(list, row(i))
	}
	d := &slowDevice{failAt: 2}
	x, err := New(testPlan(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, d *slowDevice) (int, error) {
		n := 0
		err := x.Run(ctx, List(slices.Clone(list)), func(r *Result) error {
			if r.Err == nil && r.Vector[0] != sumOf(list[r.Line]) {
				t.Fatalf("line %d: %v, want %v", r.Line, r.Vector[0], sumOf(list[r.Line]))
			}
			n++
			return nil
		})
		if len(d.flying) != 0 {
			t.Errorf("%d batches are under way after Run: %v", len(d.flying), err)
		}
		return n, err
	}
	if _, err := run(context.Background(), d); err == nil || err.Error() != "no more power" {
		t.Errorf("%v, want that of the second wait", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.onStart = func(started int) {
		if started%3 == 0 {
			cancel()
		}
	}
	if _, err := run(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the run was cancelled", err)
	}
	d.onStart = nil
	if n, err := run(context.Background(), d); err != nil || n != len(list) {
		t.Errorf("%d rows answered after a run that was cancelled, want %d: %v", n, len(list), err)
	}
}
