package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
)

// invariantCases are a small random model of each class, and one wide enough
// that its products are cut into many tasks.
func invariantCases(t *testing.T) map[string]*plan.Program {
	t.Helper()
	cases := map[string]*plan.Program{}
	for i, class := range frontendtest.Classes {
		rng := rand.New(rand.NewPCG(uint64(i), 5))
		cases[class] = randomSubject(t, rng, class).plan
		wide := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 2, Heads: 5, HeadSize: 27, Inner: 531, Zeros: i%2 == 0, NormFirst: true})
		r, err := compiler.Compile(wide, compiler.Options{Targets: []string{cpu.Target}, Buckets: []int{7, 40, frontendtest.MaxLength}})
		if err != nil {
			t.Fatal(err)
		}
		cases[class+" wide"] = r.Plan.Programs[0]
		target := integerTargets[i%len(integerTargets)]
		narrow := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 1, Heads: 3, HeadSize: 27, Inner: 131, Zeros: i%2 == 1})
		if r, err = compiler.Compile(narrow, compiler.Options{Targets: []string{target}, Buckets: []int{7, 40, frontendtest.MaxLength}}); err != nil {
			t.Fatal(err)
		}
		cases[class+" "+target] = r.Plan.Programs[0]
	}
	return cases
}

// wantOf asks for all that a plan has.
func wantOf(p *plan.Program) executor.Want {
	has := func(name string) bool {
		return slices.ContainsFunc(p.Outputs, func(o plan.Output) bool { return o.Name == name })
	}
	return executor.Want{Probabilities: true, Logits: has("logits"), LastLogits: has("last_logits"), Hidden: has("hidden")}
}

// bitsOf are all numbers of a result.
func bitsOf(r *executor.Result) string {
	var b bytes.Buffer
	for _, v := range [][]float32{
		r.Logits, r.Probabilities, r.Vector, r.Hidden.Data, r.TokenLogits.Data, r.LastLogits, {r.NLL, r.Score, float32(r.Hits)},
	} {
		for _, x := range v {
			fmt.Fprintf(&b, "%08x", math.Float32bits(x))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// runRows returns the bits of each row's result, in the order of list.
func runRows(t *testing.T, x *executor.Executor, list []*rows.Row) []string {
	t.Helper()
	var all []string
	err := x.Run(context.Background(), executor.List(list), func(r *executor.Result) error {
		if r.Err != nil || r.Line != list[len(all)].Line {
			t.Fatalf("result %d: line %d, want %d: %v", len(all), r.Line, list[len(all)].Line, r.Err)
		}
		all = append(all, bitsOf(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// invariantLengths have rows at and around the sizes of blocks, and long ones.
var invariantLengths = []int{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 41, 64, 97, 128, 130, 130, 1, 6}

// TestBatchInvariance: a row gives the same bits alone, shuffled and mixed
// with others, with 1 to 4 threads and any budget of tokens, at each level;
// AVX2 and AVX-512 give the same.
func TestBatchInvariance(t *testing.T) {
	for name, p := range invariantCases(t) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(6, 6))
			var list []*rows.Row
			for i, n := range invariantLengths {
				ids, types := randomRow(rng, &p.Model, n)
				list = append(list, &rows.Row{Line: i, IDs: ids, TypeIDs: types})
			}
			var simd []string
			for _, level := range levels() {
				alone := runAlone(t, p, level, list)
				checkTogether(t, rng, p, level, list, alone)
				switch {
				case level == kernel.Generic:
				case simd == nil:
					simd = alone
				case !slices.Equal(simd, alone):
					t.Errorf("%v gives other bits than the level below", level)
				}
			}
		})
	}
}

func runAlone(t *testing.T, p *plan.Program, level kernel.Level, list []*rows.Row) []string {
	t.Helper()
	x := newExecutor(t, p, level, 1, executor.Options{Want: wantOf(p)})
	var alone []string
	for _, r := range list {
		alone = append(alone, runRows(t, x, []*rows.Row{r})...)
	}
	return alone
}

func checkTogether(t *testing.T, rng *rand.Rand, p *plan.Program, level kernel.Level, list []*rows.Row, alone []string) {
	t.Helper()
	for threads := 1; threads <= 4; threads++ {
		for i, budget := range []int{1, 7, 64, 4096} {
			if (threads+i)%2 == rng.IntN(2) {
				continue // half of the pairs, by lot
			}
			x := newExecutor(t, p, level, threads, executor.Options{Want: wantOf(p), MaxBatchTokens: budget, Tokenizers: threads})
			shuffled := slices.Clone(list)
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for i, got := range runRows(t, x, shuffled) {
				if at := shuffled[i].Line; got != alone[at] {
					t.Errorf("%v, %d threads, budget %d: row of %d tokens differs from itself alone", level, threads, budget, len(shuffled[i].IDs))
				}
			}
		}
	}
}

// TestCompileIsDeterministic: the bytes of a plan do not follow the number of
// threads.
func TestCompileIsDeterministic(t *testing.T) {
	for i, class := range frontendtest.Classes {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		o := frontendtest.RandomOptions(rng)
		o.HeadSize, o.Inner, o.Zeros = 29, 333, true
		c := randomCheckpoint(t, rng, class, o)
		var first []byte
		for _, threads := range []int{1, 4, 4} {
			before := runtime.GOMAXPROCS(threads)
			r, err := compiler.Compile(c, compiler.Options{Targets: append([]string{cpu.Target}, integerTargets...), Version: "test"})
			runtime.GOMAXPROCS(before)
			if err != nil {
				t.Fatal(err)
			}
			file := plan.Encode(r.Plan)
			if first == nil {
				first = file
			} else if !bytes.Equal(file, first) {
				t.Errorf("%s: other bytes with %d threads", class, threads)
			}
		}
	}
}

// An endless source gives the same rows again and again, without allocating.
type endless struct {
	list []*rows.Row
	left int
}

func (s *endless) TryNext() (*rows.Row, error) { return s.Next() }

func (s *endless) Next() (*rows.Row, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	s.left--
	return s.list[s.left%len(s.list)], nil
}

func (s *endless) Release(...*rows.Row) {}
func (s *endless) Close()               {}

// tinyPlan is the model of testdata, compiled.
func tinyPlan(t testing.TB) *plan.Program {
	t.Helper()
	c, err := checkpoint.Open(filepath.Join("..", "..", "testdata", "tiny-sst2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := compiler.Compile(c, compiler.Options{Targets: []string{cpu.Target}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Plan.Programs[0]
}

// allocations counts those of f, and their bytes.
func allocations(f func()) (count, size float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)
}

// TestNoAllocationPerRow: rows of text and rows of ids, a few windows and many
// of them. A window costs a bounded number of allocations, a row none.
func TestNoAllocationPerRow(t *testing.T) {
	p := tinyPlan(t)
	data := sentences(t)
	rng := rand.New(rand.NewPCG(8, 8))
	var ids []*rows.Row
	for i := range 50 {
		row, types := randomRow(rng, &p.Model, 1+i%40)
		ids = append(ids, &rows.Row{Line: i, IDs: row, TypeIDs: types})
	}
	const many, few = 12000, 2000
	for name, list := range map[string][]*rows.Row{"text": data[:50], "ids": ids} {
		x := newExecutor(t, p, kernel.Best(), 2, executor.Options{MaxBatchTokens: 512, Tokenizers: 2, Want: executor.Want{Probabilities: true}})
		run := func(n int) func() {
			return func() {
				err := x.Run(context.Background(), &endless{list, n}, func(r *executor.Result) error { return r.Err })
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		run(many)()
		run(few)()                                  // its last batch may be of a size that the others were not
		windows := float64(many-few) * 15 / 512 / 8 // about, of rows of 15 tokens or so
		manyCount, manySize := allocations(run(many))
		fewCount, fewSize := allocations(run(few))
		count, size := (manyCount-fewCount)/windows, (manySize-fewSize)/windows
		t.Logf("%s: %.1f allocations of %.0f bytes in a window of about %.0f rows", name, count, size, float64(many-few)/windows)
		if count > 20 || size > 8<<10 {
			t.Errorf("%s: %.0f allocations of %.0f bytes in a window", name, count, size)
		}
	}
}

// TestDeviceRunDoesNotAllocate for batches of any size once the largest was there.
func TestDeviceRunDoesNotAllocate(t *testing.T) {
	for name, p := range invariantCases(t) {
		d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Load(p, 512, 1); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(9, 9))
		batches := []*executor.Batch{batchOf(rng, p, 130, 130, 3), batchOf(rng, p, 1, 2), batchOf(rng, p, 17)}
		run := func() {
			for _, b := range batches {
				if err := d.Run(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		d.Close()
	}
}

func batchOf(rng *rand.Rand, p *plan.Program, lengths ...int) *executor.Batch {
	b := &executor.Batch{Offsets: []int32{0}, Wanted: 1<<len(p.Outputs) - 1, Results: make([][]float32, len(p.Outputs))}
	for _, n := range lengths {
		ids, types := randomRow(rng, &p.Model, n)
		b.IDs, b.Types = append(b.IDs, ids...), append(b.Types, types...)
		for i := range n {
			b.Positions = append(b.Positions, int32(p.Model.PositionOffset+i))
		}
		b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	}
	return b
}

// sentences are the rows of testdata's data file.
func sentences(t testing.TB) []*rows.Row {
	t.Helper()
	data, err := rows.LoadFile(filepath.Join("..", "..", "testdata", "sst2-dev.tsv"), rows.DataOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rowsOf(data)
}

// TestBoundedMemory: 200 000 rows take no more memory than the first 32 768, by
// when all windows, of up to 8192 rows, have been in use.
func TestBoundedMemory(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 40_000
	}
	rng := rand.New(rand.NewPCG(10, 10))
	c := randomCheckpoint(t, rng, "BertModel", frontendtest.Options{Layers: 1, Heads: 2, HeadSize: 5, Inner: 9})
	r, err := compiler.Compile(c, compiler.Options{Targets: []string{cpu.Target}})
	if err != nil {
		t.Fatal(err)
	}
	var list []*rows.Row
	for i := range 1000 { // mostly short, in patches, so that lengths wander over a window's places
		length := 1 + rng.IntN(8)
		if i%37 == 0 {
			length = frontendtest.MaxLength
		}
		ids, types := randomRow(rng, &r.Plan.Model, length)
		list = append(list, &rows.Row{Line: i, IDs: ids, TypeIDs: types})
	}
	x := newExecutor(t, r.Plan.Programs[0], kernel.Best(), 2, executor.Options{Want: executor.Want{Hidden: true}})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const warm = 4 * 8192
	done, early := 0, uint64(0)
	err = x.Run(context.Background(), &endless{list, n}, func(r *executor.Result) error {
		if done++; done == warm {
			early = heap()
		}
		if late := done; late == n-1 {
			if now := heap(); now > early+early/4+1<<20 {
				t.Errorf("%d bytes in use after %d rows, %d after %d", now, late, early, warm)
			}
		}
		return r.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes in use", early)
}
