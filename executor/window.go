package executor

import (
	"context"
	"errors"
	"io"
	"slices"

	"etc/fault"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// A Source gives rows in order. TryNext returns nil, nil where none is ready
// yet; Next waits, and ends with io.EOF. Release takes rows back, Close ends a
// Next that waits. A *rows.Reader is one; List makes one of rows in memory.
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

func (l *list) Close() { l.rest = nil }

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
	encodings []tokenizer.Encoding
	results   []Result
	order     []int // rows without an error, by bucket, in input order
	last      error // why reading ended, io.EOF at the end of the input
}

// Run runs every row of src and hands each result, in input order, to emit.
// The result and its slices are valid during the call. Errors of rows are in
// their results; Run's own error is the source's, the device's or emit's.
func (x *Executor) Run(ctx context.Context, src Source, emit func(*Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	full, free := make(chan *window, 1), make(chan *window, 2)
	free <- &window{}
	free <- &window{}
	reader := fault.Go(func() error {
		defer close(full)
		return x.read(ctx, src, full, free)
	})
	err := x.consume(ctx, src, full, free, emit)
	if err != nil {
		cancel()
		src.Close()
	}
	for range full { // lets the reader end
	}
	if ended := reader.Wait(); err == nil {
		err = ended
	}
	return err
}

func (x *Executor) consume(ctx context.Context, src Source, full <-chan *window, free chan<- *window, emit func(*Result) error) error {
	for w := range full {
		if err := x.compute(ctx, w); err != nil {
			return err
		}
		w.results[len(w.rows)-1].Last = true
		for i := range w.rows {
			if err := emit(&w.results[i]); err != nil {
				return err
			}
		}
		src.Release(w.rows...)
		free <- w
	}
	return ctx.Err()
}

// read fills windows until the input ends, tokenised.
func (x *Executor) read(ctx context.Context, src Source, full chan<- *window, free <-chan *window) error {
	var encoders []*tokenizer.Encoder
	for range x.options.Tokenizers {
		if x.tokens != nil {
			encoders = append(encoders, x.tokens.NewEncoder())
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
			if err := x.tokenise(w, encoders); err != nil {
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
	tokens := 0
	for tokens < windowBatches*x.options.MaxBatchTokens && len(w.rows) < maxWindowRows {
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
		tokens += len(r.IDs) + len(r.Text)/bytesPerToken + x.single
		if r.Pair != nil {
			tokens += len(*r.Pair) / bytesPerToken
		}
	}
}

// tokenise fills encodings and the errors of rows, in parallel by stripes.
func (x *Executor) tokenise(w *window, encoders []*tokenizer.Encoder) error {
	n := len(w.rows)
	w.encodings = slices.Grow(w.encodings[:0], n)[:n]
	w.results = slices.Grow(w.results[:0], n)[:n]
	stripes := min(x.options.Tokenizers, n)
	var tasks []*fault.Task
	for s := 1; s < stripes; s++ {
		tasks = append(tasks, fault.Go(func() error { x.stripe(w, s, stripes, encoders); return nil }))
	}
	x.stripe(w, 0, stripes, encoders)
	var errs []error
	for _, t := range tasks {
		errs = append(errs, t.Wait())
	}
	return errors.Join(errs...)
}

func (x *Executor) stripe(w *window, s, stripes int, encoders []*tokenizer.Encoder) {
	for i := s; i < len(w.rows); i += stripes {
		r := w.rows[i]
		var e *tokenizer.Encoder
		if encoders != nil {
			e = encoders[s]
		}
		w.results[i].reset(r)
		if r.Err == nil {
			w.results[i].Err = x.encode(e, r, &w.encodings[i])
		}
	}
}

// encode turns one row into ids that the plan can run, or says why not.
func (x *Executor) encode(e *tokenizer.Encoder, r *rows.Row, dst *tokenizer.Encoding) error {
	switch {
	case len(r.IDs) > 0:
		dst.IDs = append(dst.IDs[:0], r.IDs...)
		dst.TypeIDs = append(dst.TypeIDs[:0], r.TypeIDs...)
		if x.options.Truncate && len(dst.IDs) > x.longest() {
			dst.IDs = dst.IDs[:x.longest()]
			dst.TypeIDs = dst.TypeIDs[:min(len(dst.TypeIDs), x.longest())]
		}
	case e == nil:
		return fault.Newf(fault.Corrupt, "text row: this plan has no tokenizer, so it takes rows of ids")
	default:
		limit := 0
		if x.options.Truncate {
			limit = x.longest()
		}
		if err := e.Encode(dst, r.Text, r.Pair, limit); err != nil {
			return err
		}
	}
	return x.checkIDs(dst)
}

func (x *Executor) checkIDs(enc *tokenizer.Encoding) error {
	m := &x.plan.Model
	switch n := len(enc.IDs); {
	case n == 0:
		return fault.Newf(fault.Corrupt, "row has no tokens")
	case n > x.longest():
		return fault.Newf(fault.Corrupt, "row has %d tokens, the longest bucket takes %d (--truncate cuts)", n, x.longest())
	}
	for _, id := range enc.IDs {
		if id < 0 || int(id) >= m.VocabSize {
			return fault.Newf(fault.Corrupt, "token id %d is outside the vocabulary of %d", id, m.VocabSize)
		}
	}
	for _, t := range enc.TypeIDs {
		if t < 0 || int(t) >= max(1, m.TypeVocabSize) {
			return fault.Newf(fault.Corrupt, "type id %d: the model has %d types", t, m.TypeVocabSize)
		}
	}
	return nil
}

// compute runs the rows of a window, bucket by bucket, in batches of at most
// the budget; a row longer than the budget runs alone.
func (x *Executor) compute(ctx context.Context, w *window) error {
	w.order = w.order[:0]
	for bucket := range x.plan.Buckets {
		start := len(w.order)
		for i := range w.rows {
			if w.results[i].Err == nil && x.bucketOf(len(w.encodings[i].IDs)) == bucket {
				w.order = append(w.order, i)
			}
		}
		if err := x.runBucket(ctx, w, bucket, w.order[start:]); err != nil {
			return err
		}
	}
	return nil
}

func (x *Executor) runBucket(ctx context.Context, w *window, bucket int, order []int) error {
	for len(order) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := &x.batch
		b.reset()
		n := 0
		for n < len(order) {
			enc := &w.encodings[order[n]]
			if n > 0 && len(b.IDs)+len(enc.IDs) > x.options.MaxBatchTokens {
				break
			}
			x.append(b, enc.IDs, enc.TypeIDs)
			n++
		}
		b.Bucket, b.Wanted = bucket, x.wanted
		if err := x.device.Run(b); err != nil {
			return err
		}
		for row, i := range order[:n] {
			x.head.fill(&w.results[i], b, row)
		}
		order = order[n:]
	}
	return nil
}
