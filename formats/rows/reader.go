package rows

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"etc/fault"
)

// A Format says how input lines are written.
type Format string

const (
	Auto  Format = "auto" // JSONL for a name ending in .jsonl or a first byte '{', else Text
	Text  Format = "text"
	JSONL Format = "jsonl"
)

// ParseFormat reads the value of --input-format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Auto, Text, JSONL:
		return f, nil
	}
	return "", fault.Newf(fault.Usage, "input format %q, want auto, text or jsonl", s)
}

// resolve decides Auto by the name of the file and its first byte.
func (f Format) resolve(name string, first byte) Format {
	switch {
	case f != Auto:
		return f
	case first == '{', strings.HasSuffix(name, ".jsonl"):
		return JSONL
	}
	return Text
}

// QueueBytes is how much is read ahead of the consumer, by Row.Size; a single
// row may be larger. It is some windows of ordinary sentences.
const QueueBytes = 8 << 20

// A Reader reads rows ahead of their consumer in a goroutine of its own, so
// that TryNext can tell whether more input is there. One goroutine may call
// Next, TryNext and Release.
type Reader struct {
	lines  *lines
	name   string
	format Format
	cancel context.CancelFunc
	ctx    context.Context
	files  bool // the source never keeps its reader waiting for a writer

	mu      sync.Mutex
	changed sync.Cond // any of the fields below
	queue   []*Row
	head    int   // rows of queue that were taken already
	bytes   int   // Size of the others
	waiting bool  // for the source, with no whole line at hand
	err     error // what ended the stream, after the rows in queue
	free    []*Row
}

// NewReader reads rows from src until its end, Close, or the end of ctx. name
// is that of the file, for Auto. A Read in progress cannot be interrupted: the
// goroutine ends when it returns, so whoever gives up on a pipe closes it.
func NewReader(ctx context.Context, src io.Reader, name string, format Format) *Reader {
	r := &Reader{name: name, format: format, files: isRegular(src)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.changed.L = &r.mu
	r.lines = newLines(watched{src, r})
	context.AfterFunc(r.ctx, func() { r.update(func() {}) })
	go r.readAll()
	return r
}

func isRegular(src io.Reader) bool {
	f, ok := src.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Close stops the reader. Next and TryNext then return context.Canceled.
func (r *Reader) Close() { r.cancel() }

// Next waits for the next row. At the end of the input the error is io.EOF.
func (r *Reader) Next() (*Row, error) { return r.take(func() bool { return false }) }

// TryNext gives the next row without waiting for input that is not there yet:
// both results are nil if no whole line is ready.
func (r *Reader) TryNext() (*Row, error) { return r.take(func() bool { return r.waiting }) }

// take waits until a row is queued, the stream is over or giveUp.
func (r *Reader) take(giveUp func() bool) (*Row, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.ctx.Err() != nil:
			return nil, r.ctx.Err()
		case r.head < len(r.queue):
			row := r.queue[r.head]
			r.queue[r.head] = nil
			r.head++
			r.bytes -= row.Size()
			r.changed.Broadcast()
			return row, nil
		case r.err != nil:
			return nil, r.err
		case giveUp():
			return nil, nil
		}
		r.changed.Wait()
	}
}

// Release gives rows back for their memory to be used again.
func (r *Reader) Release(rows ...*Row) {
	const mostKept = 8 << 10 // bytes of a row, so that no freak stays
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range rows {
		row.Text, row.Pair = "", nil
		if row.Size() <= mostKept && len(r.free)*mostKept < QueueBytes {
			r.free = append(r.free, row)
		}
	}
}

func (r *Reader) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.changed.Broadcast()
}

// readAll is the reader's goroutine. A panic in it becomes the stream's error,
// because a goroutine that crashes would end the process with Go's exit code.
func (r *Reader) readAll() {
	err := io.EOF
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bug: rows: %v\n%s", p, debug.Stack())
		}
		r.update(func() { r.err = err })
	}()
	format := r.format.resolve(r.name, r.lines.start())
	var fields object
	for number := 1; r.ctx.Err() == nil; number++ {
		line, ok, failed := r.lines.next()
		if failed != nil {
			err = failed
			return
		}
		row := r.blank(number)
		switch {
		case !ok:
			row.Err = fault.Newf(fault.Corrupt, "line over %d MB, want a shorter one", MaxLine>>20)
		case format == JSONL:
			row.Err = row.parseObject(line, &fields)
		default:
			row.Err = row.parseText(line)
		}
		r.put(row)
	}
}

// blank is a row to fill, a released one if there is any.
func (r *Reader) blank(line int) *Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	var row *Row
	if n := len(r.free); n > 0 {
		row, r.free = r.free[n-1], r.free[:n-1]
	} else {
		row = new(Row)
	}
	row.reset(line)
	return row
}

// put queues a row once there is room for it, unless the reader was closed.
func (r *Reader) put(row *Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := row.Size()
	for r.ctx.Err() == nil && r.head < len(r.queue) && r.bytes+size > QueueBytes {
		r.changed.Wait()
	}
	if len(r.queue) == cap(r.queue) { // move down rather than grow
		r.queue = r.queue[:copy(r.queue, r.queue[r.head:])]
		r.head = 0
	}
	r.queue = append(r.queue, row)
	r.bytes += size
	r.changed.Broadcast()
}

// watched is the source; it tells the reader while it waits in Read. A file's
// Read is short and always gives something, so waiting for one is not waiting.
type watched struct {
	src io.Reader
	r   *Reader
}

func (w watched) Read(p []byte) (n int, err error) {
	w.r.update(func() { w.r.waiting = !w.r.files })
	defer w.r.update(func() { w.r.waiting = false })
	return w.src.Read(p)
}
