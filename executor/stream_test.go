package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
)

// testPlan is an embedding of one number, with buckets for 4, 8 and 16 tokens.
func testPlan() *plan.Program {
	return &plan.Program{
		Plan:    &plan.Plan{Model: plan.Model{Task: plan.Embedding, VocabSize: 100, TypeVocabSize: 2, PositionOffset: 3}, MaxBatchTokens: 32},
		Buffers: []plan.Buffer{{Rows: plan.PerRow, Width: 1}, {Rows: plan.PerToken, Width: 2}},
		Outputs: []plan.Output{{Name: "embedding", Buffer: 0}, {Name: "hidden", Buffer: 1, When: plan.OnDemand}},
		Buckets: []plan.Bucket{{MaxTokens: 4}, {MaxTokens: 8}, {MaxTokens: 16}},
	}
}

// A fakeDevice answers each row with the sum of its ids and each token with
// its id and position.
type fakeDevice struct {
	program   *plan.Program
	maxTokens int
	wanted    uint64
	batches   []fakeBatch
	fail      error // of the third batch
	results   [2][]float32
}

type fakeBatch struct {
	bucket  int
	lengths []int
}

func (d *fakeDevice) Name() string       { return "fake" }
func (d *fakeDevice) Counters() Counters { return Counters{} }
func (d *fakeDevice) Close() error       { return nil }

func (d *fakeDevice) Program(p *plan.Plan) (*plan.Program, error) { return p.Programs[0], nil }

func (d *fakeDevice) Load(p *plan.Program, maxTokens int, wanted uint64) error {
	d.program, d.maxTokens, d.wanted = p, maxTokens, wanted
	return nil
}

func (d *fakeDevice) Run(b *Batch) error {
	seen := fakeBatch{bucket: b.Bucket}
	sums, hidden := d.results[0][:0], d.results[1][:0]
	for row := range len(b.Offsets) - 1 {
		from, to := b.Offsets[row], b.Offsets[row+1]
		seen.lengths = append(seen.lengths, int(to-from))
		s := float32(0)
		for t := from; t < to; t++ {
			s += float32(b.IDs[t])
			hidden = append(hidden, float32(b.IDs[t]), float32(b.Positions[t]))
		}
		sums = append(sums, s)
	}
	d.batches = append(d.batches, seen)
	d.results = [2][]float32{sums, hidden}
	copy(b.Results, d.results[:])
	if len(d.batches) == 3 && d.fail != nil {
		return d.fail
	}
	return nil
}

func newFake(t *testing.T, o Options) (*Executor, *fakeDevice) {
	t.Helper()
	d := &fakeDevice{}
	x, err := New(testPlan(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return x, d
}

// A channel is a Source over one, which ends with err once it is closed.
type channel struct {
	rows   chan *rows.Row
	err    error
	closed chan struct{}
	once   sync.Once
}

func newChannel(err error) *channel {
	return &channel{rows: make(chan *rows.Row, 1000), err: err, closed: make(chan struct{})}
}

func (c *channel) TryNext() (*rows.Row, error) {
	select {
	case r, ok := <-c.rows:
		return c.ended(r, ok)
	default:
		return nil, nil
	}
}

func (c *channel) Next() (*rows.Row, error) {
	select {
	case r, ok := <-c.rows:
		return c.ended(r, ok)
	case <-c.closed:
		return nil, context.Canceled
	}
}

func (c *channel) ended(r *rows.Row, ok bool) (*rows.Row, error) {
	if !ok {
		return nil, c.err
	}
	return r, nil
}

func (c *channel) Release(...*rows.Row) {}
func (c *channel) Close()               { c.once.Do(func() { close(c.closed) }) }

// row i has 1 to 20 tokens, of which 17 and more are too many.
func row(i int) *rows.Row {
	r := &rows.Row{Line: i}
	for j := range 1 + i*7%20 {
		r.IDs = append(r.IDs, int32((i+j)%100))
	}
	return r
}

func sumOf(r *rows.Row) float32 {
	s := float32(0)
	for _, id := range r.IDs {
		s += float32(id)
	}
	return s
}

// noLeak fails t where goroutines begun since are still there.
func noLeak(t *testing.T) func() {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
	}
}

// TestResultsInInputOrder, errors of rows in their places, each row in the
// smallest bucket that takes it, batches within the budget.
func TestResultsInInputOrder(t *testing.T) {
	defer noLeak(t)()
	for _, budget := range []int{0, 1, 7, 1000} {
		x, d := newFake(t, Options{MaxBatchTokens: budget, Tokenizers: 3, Want: Want{Hidden: true}})
		src := newChannel(io.EOF)
		var list []*rows.Row
		for i := range 997 {
			r := row(i)
			switch i % 50 {
			case 13:
				r.Err = errors.New("no JSON")
			case 14:
				r.IDs[0] = 100
			case 15:
				r.IDs = nil
				r.Text = "text"
			case 16:
				r.TypeIDs = make([]int32, len(r.IDs))
				r.TypeIDs[0] = 2
			}
			list = append(list, r)
			src.rows <- r
		}
		close(src.rows)
		n, last := 0, false
		err := x.Run(context.Background(), src, func(r *Result) error {
			in := list[n]
			bad := n%50 >= 13 && n%50 <= 16 || len(in.IDs) > 16
			switch {
			case r.Line != n:
				t.Fatalf("result %d is of line %d", n, r.Line)
			case (r.Err != nil) != bad:
				t.Fatalf("row %d: error %v", n, r.Err)
			case !bad && (r.Vector[0] != sumOf(in) || r.Tokens != len(in.IDs)):
				t.Fatalf("row %d: %v of %d tokens, want %v of %d", n, r.Vector, r.Tokens, sumOf(in), len(in.IDs))
			case !bad:
				for j, id := range in.IDs {
					if r.Hidden.Data[2*j] != float32(id) || r.Hidden.Data[2*j+1] != float32(3+j) {
						t.Fatalf("row %d: token %d is %v", n, j, r.Hidden.Data[2*j:2*j+2])
					}
				}
			}
			n, last = n+1, r.Last
			return nil
		})
		if err != nil || n != len(list) || !last {
			t.Fatalf("%d results, the last of its window: %v, error %v", n, last, err)
		}
		checkBatches(t, d, x)
	}
}

func checkBatches(t *testing.T, d *fakeDevice, x *Executor) {
	t.Helper()
	seen := map[int]bool{}
	for _, b := range d.batches {
		seen[b.bucket] = true
		total := 0
		for _, n := range b.lengths {
			total += n
			if low := []int{0, 4, 8}[b.bucket]; n <= low || n > d.program.Buckets[b.bucket].MaxTokens {
				t.Fatalf("row of %d tokens ran in bucket %d", n, b.bucket)
			}
		}
		if total > x.budget && len(b.lengths) > 1 {
			t.Fatalf("%d tokens in a batch, the budget is %d", total, x.budget)
		}
	}
	if len(seen) != 3 {
		t.Errorf("buckets %v, want all three", seen)
	}
}

// TestWindowClosesWithoutInput: who pipes one row and waits gets its answer.
func TestWindowClosesWithoutInput(t *testing.T) {
	defer noLeak(t)()
	x, _ := newFake(t, Options{})
	src, answers := newChannel(io.EOF), make(chan int)
	done := fault.Go(func() error {
		return x.Run(context.Background(), src, func(r *Result) error {
			if !r.Last {
				t.Error("the only row of a window is not its last")
			}
			answers <- r.Line
			return nil
		})
	})
	for i := range 20 {
		src.rows <- row(i)
		select {
		case line := <-answers:
			if line != i {
				t.Fatalf("answer %d is of line %d", i, line)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no answer while the source waits")
		}
	}
	close(src.rows)
	if err := done.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestRunEnds, without a goroutine left, whatever ends it and whenever: ctx, the
// source, emit, the device, each before, between and after rows.
func TestRunEnds(t *testing.T) {
	defer noLeak(t)()
	broken := errors.New("broken")
	iterations := 300
	if testing.Short() {
		iterations = 30
	}
	for i := range iterations {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		for _, how := range []string{"ctx", "source", "emit", "device", "panic"} {
			x, d := newFake(t, Options{MaxBatchTokens: 1 + rng.IntN(20), Tokenizers: 1 + rng.IntN(3)})
			ctx, cancel := context.WithCancel(context.Background())
			src, want := newChannel(broken), broken
			stop, emitted := rng.IntN(40), rng.IntN(3)
			feed := fault.Go(func() error {
				for j := range 3 + rng.IntN(60) {
					r := row(j)
					r.IDs = r.IDs[:min(len(r.IDs), 16)]
					src.rows <- r
					if how == "ctx" && j == stop {
						cancel()
					}
				}
				if how == "source" {
					close(src.rows)
				}
				return nil // else the source waits for ever
			})
			switch how {
			case "ctx":
				want = context.Canceled
			case "device":
				d.fail = broken
			}
			if how == "ctx" && stop > 2 {
				time.AfterFunc(time.Millisecond, cancel)
			}
			n := 0
			err := recovered(func() error {
				return x.Run(ctx, src, func(r *Result) error {
					if r.Line != n {
						t.Fatalf("result %d is of line %d", n, r.Line)
					}
					n++
					switch {
					case how == "emit" && n > emitted:
						return broken
					case how == "panic" && n > emitted:
						panic(broken)
					}
					return nil
				})
			})
			if !errors.Is(err, want) {
				t.Fatalf("%s: error %v, want %v", how, err, want)
			}
			if err := feed.Wait(); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
}

// recovered makes a panic the error of f.
func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return f()
}

func TestWantedOutputs(t *testing.T) {
	for _, c := range []struct {
		want   Want
		wanted uint64
		failed string
	}{
		{Want{}, 1, ""}, {Want{Hidden: true}, 3, ""},
		{Want{LastLogits: true}, 0, "--last-logits"}, {Want{Logits: true}, 0, "--logits"},
	} {
		d := &fakeDevice{}
		_, err := New(testPlan(), d, Options{Want: c.want})
		switch {
		case c.failed == "" && (err != nil || d.wanted != c.wanted):
			t.Errorf("%+v: wanted %b, error %v", c.want, d.wanted, err)
		case c.failed != "" && (fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.failed)):
			t.Errorf("%+v: error %v, want a usage fault of %s", c.want, err, c.failed)
		}
	}
}

// TestBudget: the flag before the plan's, less where results are large.
func TestBudget(t *testing.T) {
	large := testPlan()
	large.Buffers[1].Width = 50_000
	for _, c := range []struct {
		plan *plan.Program
		o    Options
		want int // tokens that Load hears of
	}{
		{testPlan(), Options{}, 32}, {testPlan(), Options{MaxBatchTokens: 500}, 500},
		{testPlan(), Options{MaxBatchTokens: 1}, 16}, // a row longer than the budget runs alone
		{large, Options{MaxBatchTokens: 500}, 500},
		{large, Options{MaxBatchTokens: 500, Want: Want{Hidden: true}}, maxResultBytes / 200_000},
	} {
		d := &fakeDevice{}
		if _, err := New(c.plan, d, c.o); err != nil || d.maxTokens != c.want {
			t.Errorf("%+v: %d tokens, want %d: %v", c.o, d.maxTokens, c.want, err)
		}
	}
	for _, n := range []int{-1, plan.MostBatchTokens + 1} {
		if _, err := New(testPlan(), &fakeDevice{}, Options{MaxBatchTokens: n}); fault.KindOf(err) != fault.Usage {
			t.Errorf("budget %d: error %v, want a usage fault", n, err)
		}
	}
}

func TestTruncate(t *testing.T) {
	x, _ := newFake(t, Options{Truncate: true})
	long := &rows.Row{IDs: make([]int32, 40), TypeIDs: make([]int32, 40)}
	err := x.Run(context.Background(), List([]*rows.Row{long}), func(r *Result) error {
		if r.Tokens != 16 {
			t.Errorf("%d tokens, want 16", r.Tokens)
		}
		return r.Err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWindowOfLargeResults: a window closes when its results may be too large, and
// has memory for just these.
func TestWindowOfLargeResults(t *testing.T) {
	text, pair := &rows.Row{Text: strings.Repeat("a", 12), Pair: new(string)}, &rows.Row{Text: "a"}
	*text.Pair, pair.Pair = "a", &text.Text
	for _, c := range []struct {
		what          string
		token, vector int // values
		row           *rows.Row
		want          int // rows
	}{
		{"little of a token", 1, 1, row(3), 128},                             // eight batches of 32 tokens
		{"much of a token", 1 << 18, 1, &rows.Row{IDs: make([]int32, 4)}, 8}, // 4 MB a row
		{"much of a row", 1, 1 << 19, row(3), 16},
		{"text, a token for each byte", 1 << 18, 1, text, 3},
		{"the second text of a pair", 1 << 18, 1, pair, 3},
		{"more than any row has", 1 << 18, 1, &rows.Row{Text: strings.Repeat("a", 100)}, 2},
		{"one row is a window", 1 << 24, 1, row(3), 1},
	} {
		p := testPlan()
		p.Buffers[0].Width, p.Buffers[1].Width = c.vector, c.token
		x, err := New(p, &fakeDevice{}, Options{Want: Want{Hidden: true}})
		if err != nil {
			t.Fatal(err)
		}
		w := &window{}
		x.gather(List(slices.Repeat([]*rows.Row{c.row}, 200)), w)
		if len(w.rows) != c.want {
			t.Errorf("%s: %d rows, want %d", c.what, len(w.rows), c.want)
		}
	}

	x, _ := newFake(t, Options{Want: Want{Hidden: true}})
	for _, n := range []int{2000, 5000, 5000} {
		w := &window{}
		for i := range n {
			w.rows = append(w.rows, row(i))
		}
		if err := x.tokenise(w, make([]encoder, 1)); err != nil {
			t.Fatal(err)
		}
		if err := x.compute(context.Background(), w); err != nil {
			t.Fatal(err)
		}
		values := 0
		for i := range w.results {
			values += len(w.results[i].Vector) + len(w.results[i].Hidden.Data)
		}
		if values == 0 || len(w.values.memory) != values || cap(w.values.memory) > values+values/4 {
			t.Errorf("%d rows: memory for %d values, %d taken, want %d", n, cap(w.values.memory), len(w.values.memory), values)
		}
	}
}

// A closing source tells whether it was closed.
type closing struct {
	Source
	closed int
}

func (c *closing) Close() { c.closed++ }

// A panicking device panics in Run.
type panicking struct{ fakeDevice }

func (*panicking) Run(*Batch) error { panic(errors.New("bug: device")) }

// TestRunLeavesNothing open or under way, a panic of the device or not.
func TestRunLeavesNothing(t *testing.T) {
	check := noLeak(t)
	x, _ := newFake(t, Options{})
	src := &closing{Source: List([]*rows.Row{row(1)})}
	if err := x.Run(context.Background(), src, func(r *Result) error { return r.Err }); err != nil || src.closed != 1 {
		t.Errorf("error %v, closed %d times, want once", err, src.closed)
	}
	x, err := New(testPlan(), &panicking{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	src = &closing{Source: List([]*rows.Row{row(1)})}
	if err := recovered(func() error { return x.Run(context.Background(), src, func(*Result) error { return nil }) }); err == nil || src.closed != 1 {
		t.Errorf("error %v, closed %d times, want a panic and once", err, src.closed)
	}
	check()
}

// TestForwardRefuses what no kernel may see.
func TestForwardRefuses(t *testing.T) {
	x, _ := newFake(t, Options{})
	one := []int32{1}
	for name, c := range map[string]struct {
		ids, types [][]int32
		output     string
		kind       fault.Kind
	}{
		"no rows":         {nil, nil, "embedding", fault.Corrupt},
		"empty row":       {[][]int32{one, {}}, nil, "embedding", fault.Corrupt},
		"long row":        {[][]int32{make([]int32, 17)}, nil, "embedding", fault.Corrupt},
		"large id":        {[][]int32{{100}}, nil, "embedding", fault.Corrupt},
		"negative id":     {[][]int32{{-1}}, nil, "embedding", fault.Corrupt},
		"large type":      {[][]int32{one}, [][]int32{{2}}, "embedding", fault.Corrupt},
		"types too short": {[][]int32{{1, 2}}, [][]int32{{1}}, "embedding", fault.Corrupt},
		"types too long":  {[][]int32{one}, [][]int32{{1, 1}}, "embedding", fault.Corrupt},
		"types of fewer":  {[][]int32{one, one}, [][]int32{one}, "embedding", fault.Corrupt},
		"no such output":  {[][]int32{one}, nil, "logits", fault.Usage},
	} {
		if _, err := x.Forward(c.ids, c.types, c.output); fault.KindOf(err) != c.kind {
			t.Errorf("%s: error %v, want kind %d", name, err, c.kind)
		}
	}
	got, err := x.Forward([][]int32{{1, 2}, {3}}, [][]int32{nil, {1}}, "hidden", "embedding")
	if err != nil || fmt.Sprint(got) != "[[1 3 2 4 3 3] [3 3]]" {
		t.Errorf("Forward = %v, %v", got, err)
	}
}

func TestStore(t *testing.T) {
	var s store[int]
	var kept [][]int
	for i := range 500 {
		v := make([]int, i)
		for j := range v {
			v[j] = i
		}
		kept = append(kept, s.keep(v))
	}
	for i, v := range kept {
		if len(v) != i || i > 0 && (v[0] != i || v[i-1] != i) {
			t.Fatalf("slice %d is %v", i, v)
		}
	}
	v := make([]int, 400)
	s.clear()
	if n := testing.AllocsPerRun(100, func() { s.clear(); s.keep(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
