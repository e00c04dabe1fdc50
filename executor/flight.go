package executor

// A Pipeline is a Device that can begin a batch before the one before it is
// done, so that copies of one run beside kernels of the other. Batches end in
// the order they began; up to two are under way.
type Pipeline interface {
	Device
	// Start begins a batch, Wait ends the one that began first. Run does both.
	Start(b *Batch) error
	Wait(b *Batch) error
}

// A flight is a batch under way with the rows of its window, by place.
type flight struct {
	batch Batch
	rows  []int
	busy  bool
}

// begin runs f, or starts it and ends the flight before it.
func (x *Executor) begin(w *window, f *flight) error {
	p, ok := x.device.(Pipeline)
	if !ok {
		if err := x.device.Run(&f.batch); err != nil {
			return err
		}
		x.fill(w, f)
		return nil
	}
	if err := p.Start(&f.batch); err != nil {
		return err
	}
	f.busy = true
	x.turn = 1 - x.turn
	return x.end(w, &x.flights[x.turn])
}

// end waits for f if it is under way, and fills its results.
func (x *Executor) end(w *window, f *flight) error {
	if !f.busy {
		return nil
	}
	f.busy = false
	if err := x.device.(Pipeline).Wait(&f.batch); err != nil {
		return err
	}
	x.fill(w, f)
	return nil
}

// land ends all flights, the older one first.
func (x *Executor) land(w *window) error {
	for range x.flights {
		if err := x.end(w, &x.flights[x.turn]); err != nil {
			return err
		}
		x.turn = 1 - x.turn
	}
	return nil
}

// abandon waits for all flights and drops what comes of them, so that a later
// Run finds none. What ended them before is the error that counts.
func (x *Executor) abandon() {
	for range x.flights {
		f := &x.flights[x.turn]
		if f.busy {
			f.busy = false
			x.device.(Pipeline).Wait(&f.batch)
		}
		x.turn = 1 - x.turn
	}
}

func (x *Executor) fill(w *window, f *flight) {
	for row, i := range f.rows {
		x.head.fill(&w.results[i], &f.batch, row)
	}
}
