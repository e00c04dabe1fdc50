package executor

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"etc/fault"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// A Source gives rows in order. TryNext returns nil, nil where none is ready
// yet; Next waits, and ends with io.EOF. Release takes rows back. Close ends a
// Next that waits; it may come from any goroutine. A *rows.Reader is one; List
// makes one of rows in memory.
type Source interface {
	TryNext() (*rows.Row, error)
	Next() (*rows.Row, error)
	Release(...*rows.Row)
	Close()
}

// List is a Source over rows in memory.
func List(all []*rows.Row) Source { return &list{all} }

type list struct{ rest []*rows.Row }

func (l *list) TryNext() (*rows.Row, error) {
	if len(l.rest) == 0 {
		return nil, io.EOF
	}
	r := l.rest[0]
	l.rest = l.rest[1:]
	return r, nil
}

func (l *list) Next() (*rows.Row, error) { return l.TryNext() }

func (l *list) Release(...*rows.Row) {}

func (l *list) Close() {} // Next never waits

// windowBatches is how many full batches a window gathers: enough that the
// last batch of each bucket, which may be small, is a small part.
const windowBatches = 8

// bytesPerToken estimates the tokens of text that is not tokenised yet. Short
// of the truth, so that a window closes late rather than early.
const bytesPerToken = 4

// maxWindowRows bounds a window of very short rows.
const maxWindowRows = 8192

// A window is what is between reading and answering at once: some rows, their
// tokens and their results. It is used again, so that nothing is allocated
// row by row.
type window struct {
	rows      []*rows.Row
	encodings []tokenizer.Encoding // of rows of ids the row's own, else in ids
	ids       []store[int32]       // by stripe
	results   []Result
	values    store[float32] // of results
	order     []int          // rows of one bucket without an error, by length
	last      error          // why reading ended, io.EOF at the end of the input
}

// windows is how many there are: one is read and tokenised while another is
// computed and a third written.
const windows = 3

// Run runs every row of src and hands each result, in input order, to emit,
// which another goroutine calls while the rows that follow are computed. The
// result and its slices are valid during the call. Errors of rows are in their
// results; Run's own error is the source's, the device's, emit's or ctx's. When
// it is over, src is closed.
func (x *Executor) Run(ctx context.Context, src Source, emit func(*Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closeSource := sync.OnceFunc(src.Close)
	context.AfterFunc(ctx, closeSource)
	defer closeSource()
	full, done, free := make(chan *window, 1), make(chan *window, 1), make(chan *window, windows)
	for range windows {
		free <- &window{}
	}
	reader := fault.Go(func() error {
		defer close(full)
		return x.read(ctx, src, full, free)
	})
	writer := fault.Go(func() error {
		defer cancel()
		return x.write(src, done, free, emit)
	})
	err := func() error {
		defer close(done) // after a panic too, or the writer waits for ever
		return x.consume(ctx, full, done)
	}()
	if failed := writer.Wait(); failed != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = failed
	}
	if err != nil {
		cancel()
	}
	for range full { // lets the reader end
	}
	if ended := reader.Wait(); err == nil {
		err = ended
	}
	return err
}

// consume computes windows.
func (x *Executor) consume(ctx context.Context, full <-chan *window, done chan<- *window) error {
	for w := range full {
		start := time.Now()
		if err := x.compute(ctx, w); err != nil {
			return err
		}
		x.times.Compute += time.Since(start)
		select {
		case done <- w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// write hands the results of windows to emit and frees the windows.
func (x *Executor) write(src Source, done <-chan *window, free chan<- *window, emit func(*Result) error) error {
	for w := range done {
		start := time.Now()
		w.results[len(w.rows)-1].Last = true
		for i := range w.rows {
			if err := emit(&w.results[i]); err != nil {
				return err
			}
		}
		src.Release(w.rows...)
		free <- w
		x.times.Write += time.Since(start)
	}
	return nil
}

// Times are how long the parts of Run took, which go on side by side. The time
// to tokenise is that of all goroutines that do.
type Times struct{ Tokenise, Compute, Write time.Duration }

// Times is what Run took until now, once it is over.
func (x *Executor) Times() Times {
	return Times{time.Duration(x.tokenised.Load()), x.times.Compute, x.times.Write}
}

// read fills windows until the input ends, tokenised.
func (x *Executor) read(ctx context.Context, src Source, full chan<- *window, free <-chan *window) error {
	stripes := make([]encoder, x.options.Tokenizers)
	if x.tokens != nil {
		for i := range stripes {
			stripes[i].Encoder = x.tokens.NewEncoder()
		}
	}
	for {
		var w *window
		select {
		case w = <-free:
		case <-ctx.Done():
			return nil
		}
		x.gather(src, w)
		if len(w.rows) > 0 {
			if err := x.tokenise(w, stripes); err != nil {
				return err
			}
			select {
			case full <- w:
			case <-ctx.Done():
				return nil
			}
		}
		switch {
		case w.last == io.EOF:
			return nil
		case w.last != nil:
			return w.last
		}
	}
}

// gather takes rows until the window is full, the input ends or, with at
// least one row, no further row is ready.
func (x *Executor) gather(src Source, w *window) {
	w.rows, w.last = w.rows[:0], nil
	tokens, values := 0, 0 // of the results, at most
	for tokens < windowBatches*x.budget && len(w.rows) < maxWindowRows && values < maxWindowBytes/4 {
		r, err := src.TryNext()
		if r == nil && err == nil {
			if len(w.rows) > 0 {
				return
			}
			r, err = src.Next()
		}
		if err != nil {
			w.last = err
			return
		}
		w.rows = append(w.rows, r)
		text := len(r.Text)
		if r.Pair != nil {
			text += len(*r.Pair)
		}
		tokens += len(r.IDs) + text/bytesPerToken + x.single
		values += x.perRow + x.perToken*min(len(r.IDs)+text+x.single, x.longest())
	}
}

// tokenise fills encodings and the errors of rows, in parallel by stripes.
func (x *Executor) tokenise(w *window, stripes []encoder) error {
	n := len(w.rows)
	w.encodings = slices.Grow(w.encodings[:0], n)[:n]
	w.results = slices.Grow(w.results[:0], n)[:n]
	if w.ids == nil {
		w.ids = make([]store[int32], len(stripes))
	}
	stripes = stripes[:min(len(stripes), n)]
	var tasks []*fault.Task
	for s := 1; s < len(stripes); s++ {
		tasks = append(tasks, fault.Go(func() error { x.stripe(w, s, stripes); return nil }))
	}
	x.stripe(w, 0, stripes)
	var errs []error
	for _, t := range tasks {
		errs = append(errs, t.Wait())
	}
	return errors.Join(errs...)
}

// stripe encodes every row that is s modulo the number of stripes.
func (x *Executor) stripe(w *window, s int, stripes []encoder) {
	start := time.Now()
	defer func() { x.tokenised.Add(int64(time.Since(start))) }()
	w.ids[s].clear()
	for i := s; i < len(w.rows); i += len(stripes) {
		row, r := w.rows[i], &w.results[i]
		*r = Result{Result: rows.Result{ID: row.ID, Line: row.Line, Err: row.Err}}
		if r.Err == nil {
			w.encodings[i], r.Err = x.encode(&stripes[s], row, &w.ids[s])
		}
	}
}

// compute runs the rows of a window, bucket by bucket. When it returns nothing
// is under way, whether it failed or not.
func (x *Executor) compute(ctx context.Context, w *window) (err error) {
	defer func() {
		if err != nil {
			x.abandon()
		}
	}()
	x.head.values = &w.values
	w.values.reserve(x.valuesOf(w))
	for bucket := range x.program.Buckets {
		w.order = w.order[:0]
		for i := range w.rows {
			if w.results[i].Err == nil && x.bucketOf(len(w.encodings[i].IDs)) == bucket {
				w.order = append(w.order, i)
			}
		}
		slices.SortStableFunc(w.order, func(i, j int) int {
			return len(w.encodings[i].IDs) - len(w.encodings[j].IDs)
		})
		if err := x.runBucket(ctx, w, bucket); err != nil {
			return err
		}
	}
	return x.land(w)
}

// valuesOf counts the results of a window.
func (x *Executor) valuesOf(w *window) (n int) {
	for i := range w.rows {
		if w.results[i].Err == nil {
			n += x.perRow + x.perToken*len(w.encodings[i].IDs)
		}
	}
	return n
}

// runBucket runs the rows in w.order in batches of at most the budget; a row
// longer than the budget runs alone.
func (x *Executor) runBucket(ctx context.Context, w *window, bucket int) error {
	for order := w.order; len(order) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := &x.flights[x.turn]
		b := &f.batch
		b.reset()
		n := 0
		for n < len(order) {
			enc := &w.encodings[order[n]]
			if n > 0 && len(b.IDs)+len(enc.IDs) > x.budget {
				break
			}
			x.append(b, enc)
			n++
		}
		b.Bucket, b.Wanted = bucket, x.wanted
		f.rows = append(f.rows[:0], order[:n]...)
		if err := x.begin(w, f); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}
