package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/codegen/cuda"
	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/compiler/cost"
	"etc/compiler/frontend/frontendtest"
	"etc/executor/gpu"
	"etc/executor/ptxsim"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// A fakeCard runs nothing and has its own clock: a kernel takes what cost says
// of its name, and rounds differ by jitter.
type fakeCard struct {
	sm      int
	time    time.Time
	cost    func(entry string) time.Duration
	jitter  func(round int) time.Duration
	started int
	memory  map[gpu.Address]int64
	next    gpu.Address
	wrote   map[gpu.Address][]byte
}

func (c *fakeCard) Name() string              { return "fake" }
func (c *fakeCard) SM() int                   { return c.sm }
func (c *fakeCard) Memory() (free, all int64) { return 1 << 40, 1 << 40 }
func (c *fakeCard) Close() error              { return nil }
func (c *fakeCard) Wait(int) error            { return nil }
func (c *fakeCard) now() time.Time            { return c.time }

func (c *fakeCard) Alloc(_ string, bytes int64) (gpu.Address, error) {
	if c.memory == nil {
		c.memory, c.wrote = map[gpu.Address]int64{}, map[gpu.Address][]byte{}
	}
	c.next += 1 << 32
	c.memory[c.next] = bytes
	return c.next, nil
}

func (c *fakeCard) Free(a gpu.Address) error {
	delete(c.memory, a)
	return nil
}

func (c *fakeCard) Upload(to gpu.Address, b []byte) error {
	c.wrote[to] = b
	return nil
}

func (c *fakeCard) Staging(n int) ([]byte, error)                   { return make([]byte, n), nil }
func (c *fakeCard) FreeStaging([]byte) error                        { return nil }
func (c *fakeCard) Load(b []byte, ptx bool) (gpu.Module, error)     { return fakeModule{}, nil }
func (c *fakeCard) Prepare(o []gpu.Operation) (gpu.Sequence, error) { return fakeSequence(o), nil }

type fakeModule struct{}

func (fakeModule) Function(entry string, _ int) (gpu.Function, error) { return entry, nil }
func (fakeModule) Close() error                                       { return nil }

type fakeSequence []gpu.Operation

func (fakeSequence) Close() error { return nil }

func (c *fakeCard) Start(_ int, w gpu.Work) error {
	for _, op := range w.Sequence.(fakeSequence) {
		c.time = c.time.Add(c.cost(op.Function.(string)))
	}
	if c.jitter != nil {
		c.time = c.time.Add(c.jitter(c.started))
	}
	c.started++
	return nil
}

// watch is short, by the card's clock.
func (c *fakeCard) watch() stopwatch {
	return stopwatch{rounds: 5, span: time.Millisecond, most: 20, now: c.now, cold: 1 << 20}
}

// steady costs 10 µs a kernel, those with a name that has one of words 6.
func steady(words ...string) func(string) time.Duration {
	return func(entry string) time.Duration {
		for _, w := range words {
			if strings.Contains(entry, w) {
				return 6 * time.Microsecond
			}
		}
		return 10 * time.Microsecond
	}
}

// tuned runs tune with a made-up card and compiler.
func tuned(t *testing.T, p *program, path, table string, c *fakeCard) error {
	t.Helper()
	find := func() (cuda.Compiler, error) { return madeUp{}, nil }
	return p.tune(path, table, c, find, c.watch())
}

func quietProgram() *program {
	return &program{out: &latch{w: io.Discard}, err: io.Discard, quiet: true}
}

// TestTune: the table names the variant that is fastest on the device for every
// product, class of rows, attention and bucket, and a plan compiled with it has
// just those.
func TestTune(t *testing.T) {
	made, path := madeUpPlan(t, compiler.Options{Targets: []string{"cpu:f32", "sm_80:f16", "sm_90:bf16"}, NVRTC: madeUp{}})
	table := filepath.Join(t.TempDir(), "table.json")
	// The fastest: 16x64 tiles, flash attention with 16 queries.
	card := &fakeCard{sm: 86, cost: steady("bm16_bn64", "flash_attention")}
	if err := tuned(t, quietProgram(), path, table, card); err != nil {
		t.Fatal(err)
	}
	if len(card.memory) != 0 {
		t.Errorf("%d pieces of memory were not given back", len(card.memory))
	}
	measured, err := readTuning(table)
	if err != nil {
		t.Fatal(err)
	}
	q := made.Program("sm_80")
	g, _ := gpuModel(q.Target, nil)
	want := map[string]string{}
	for _, x := range trialsOf(q, g, cuda.RowClasses, made.MaxBatchTokens) {
		if want[x.key] != "" {
			t.Errorf("%s is measured twice", x.key)
		}
		want[x.key] = "16x64x64x8"
		if strings.Contains(x.key, "attention") {
			want[x.key] = x.variants[slices.IndexFunc(x.variants, func(v variant) bool { return strings.HasPrefix(v.name, "flash") })].name
		}
	}
	if len(want) < 20 || len(measured.Entries) != len(want) {
		t.Errorf("%d entries, want %d", len(measured.Entries), len(want))
	}
	for key, use := range want {
		if m := measured.Entries[key]; m.Use != use || m.Micros != 6 {
			t.Errorf("%s: %+v, want %s with 6 µs", key, m, use)
		}
	}
	r, err := recompile(t, compiler.Options{Targets: []string{"sm_80:f16"}, Tuning: measured})
	if err != nil {
		t.Fatal(err)
	}
	checkTuned(t, q, r.Plan.Programs[0])
}

func recompile(t *testing.T, o compiler.Options) (*compiler.Result, error) {
	t.Helper()
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o.Buckets = []int{32, 128}
	return compiler.Compile(c, o)
}

// checkTuned: before has other choices, after has those of TestTune.
func checkTuned(t *testing.T, before, after *plan.Program) {
	t.Helper()
	for i, s := range after.Steps {
		for _, l := range s.Launches {
			if k := after.Kernels[l.Kernels[0]].Kernel; k.Family == "linear" && (k.Value("BM") != 16 || k.Value("BN") != 64 || l.Tokens != 0) {
				t.Errorf("step %d has %s for %d rows", i, k.Entry(), l.Tokens)
			}
		}
	}
	for i, b := range after.Buckets {
		for j, c := range b.Choices {
			if was := before.Buckets[i].Choices[j].Op; c.Op != plan.FlashAttention || was == c.Op {
				t.Errorf("bucket %d has %v, before %v", b.MaxTokens, c.Op, was)
			}
		}
	}
}

// TestTuneKeepsTheModel where the fastest is faster by less than 2 %, or by
// less than its times differ.
func TestTuneKeepsTheModel(t *testing.T) {
	x := trial{key: "k", model: "a", variants: []variant{{name: "a"}, {name: "b"}}}
	us := func(list ...float64) (all []time.Duration) {
		for _, v := range list {
			all = append(all, time.Duration(v*1000))
		}
		return all
	}
	for _, c := range []struct {
		what string
		a, b []time.Duration
		want string
		us   float64
	}{
		{"faster by 3 %", us(100, 100, 100, 100, 100), us(97, 97, 97, 97, 97), "b", 97},
		{"by 1 %", us(100, 100, 100, 100, 100), us(99, 99, 99, 99, 99), "a", 100},
		{"by 10 %, in noise of 20", us(100, 100, 100, 100, 100), us(80, 80, 90, 100, 100), "a", 100},
		{"by 10 %, in noise of 20 of the model's", us(80, 90, 100, 110, 120), us(90, 90, 90, 90, 90), "a", 100},
		{"by 10 %, one time far off", us(100, 100, 100, 100, 900), us(90, 90, 90, 90, 900), "b", 90},
		{"slower", us(100, 100, 100, 100, 100), us(101, 102, 103, 104, 105), "a", 100},
	} {
		if got := best(x, map[string][]time.Duration{"a": c.a, "b": c.b}, 1); got.Use != c.want || got.Micros != c.us {
			t.Errorf("%s: %+v, want %s with %g", c.what, got, c.want, c.us)
		}
	}
}

// TestTuneMeasuresInTurns: a device that grows slower while it is measured
// makes no variant the winner, and warm-up does not count.
func TestTuneMeasuresInTurns(t *testing.T) {
	_, path := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16"}, NVRTC: madeUp{}})
	table := filepath.Join(t.TempDir(), "table.json")
	card := &fakeCard{sm: 80, cost: steady()}
	card.jitter = func(n int) time.Duration { return time.Duration(n) * 20 * time.Nanosecond }
	p := quietProgram()
	var notes bytes.Buffer
	p.quiet, p.err = false, &notes
	if err := tuned(t, p, path, table, card); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(notes.String(), " 0 of them other than the cost model's choice") {
		t.Errorf("a variant has won a race of equals: %s", notes.String())
	}
}

// TestTuneWarmsUp: the first round of all variants, which is slow, is no part of
// any time, and neither is what is measured to see how long a run takes.
func TestTuneWarmsUp(t *testing.T) {
	made, _ := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16"}, NVRTC: madeUp{}})
	g, _ := gpuModel("sm_80:f16", nil)
	x := trialsOf(made.Programs[0], g, []int{64}, 128)[0]
	card := &fakeCard{sm: 80, cost: steady("bm16_bn64")}
	card.jitter = func(start int) time.Duration {
		if start < 2+len(x.variants) { // two of the model's choice, then each once
			return 100 * time.Microsecond
		}
		return 0
	}
	functions, err := loadKernels(card, madeUp{}, 80, []trial{x})
	if err != nil {
		t.Fatal(err)
	}
	w := card.watch()
	w.rounds = 1
	got, err := measure(card, functions, x, w)
	if want := (cost.Measured{Use: "16x64x64x8", Micros: 6}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestTuneAddsToATable: with --force what is there stays where it is faster,
// what is no table is refused, and a pipe is only written to.
func TestTuneAddsToATable(t *testing.T) {
	_, path := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16"}, NVRTC: madeUp{}})
	table := filepath.Join(t.TempDir(), "table.json")
	if err := tuned(t, quietProgram(), path, table, &fakeCard{sm: 80, cost: steady()}); err != nil {
		t.Fatal(err)
	}
	first, err := readTuning(table)
	if err != nil {
		t.Fatal(err)
	}
	var faster, slower string
	for key := range first.Entries {
		faster, slower = slower, key
	}
	first.Entries["of another card"] = cost.Measured{Use: "x", Micros: 1}
	first.Entries[faster] = cost.Measured{Use: "quick", Micros: 1}
	first.Entries[slower] = cost.Measured{Use: "slow", Micros: 1000}
	again := quietProgram()
	again.force = true
	if err := os.WriteFile(table, first.Encode(), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := tuned(t, again, path, table, &fakeCard{sm: 80, cost: steady()}); err != nil {
		t.Fatal(err)
	}
	both, err := readTuning(table)
	if err != nil {
		t.Fatal(err)
	}
	if both.Entries["of another card"].Use != "x" || both.Entries[faster].Use != "quick" || both.Entries[slower].Use == "slow" || len(both.Entries) != len(first.Entries) {
		t.Errorf("merged: %+v, %+v, %+v, %d of %d", both.Entries["of another card"], both.Entries[faster], both.Entries[slower], len(both.Entries), len(first.Entries))
	}
	if err := os.WriteFile(table, []byte("no table"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := tuned(t, again, path, table, &fakeCard{sm: 80, cost: steady()}); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("no table: %v", err)
	}
}

// TestTuneOtherCards: a plan without a program for the card is Unfit; so is one
// whose code the card would run, compiled for an older generation.
func TestTuneOtherCards(t *testing.T) {
	p, _ := madeUpPlan(t, compiler.Options{Targets: []string{"cpu:f32", "sm_80:f16", "sm_90:f16"}})
	for sm, want := range map[int]int{70: 0, 80: 80, 86: 80, 90: 90, 100: 0} {
		got, err := tunedSM(p, &fakeCard{sm: sm})
		if got != want || (want == 0) != (fault.KindOf(err) == fault.Unfit) {
			t.Errorf("sm_%d: %d, %v, want %d", sm, got, err, want)
		}
	}
}

// TestTuneReadsColdWeights: runs in turn read weights at other places, until
// what lies between is more than a cache holds; all of it random and not zero.
func TestTuneReadsColdWeights(t *testing.T) {
	for _, target := range []string{"sm_80:f16", "sm_80:bf16"} {
		made, _ := madeUpPlan(t, compiler.Options{Targets: []string{target}})
		g, _ := gpuModel(target, nil)
		x := trialsOf(made.Programs[0], g, []int{64}, 128)[0]
		card := &fakeCard{}
		m := &cardMemory{driver: card, cold: 1 << 20}
		o, err := x.reserve(m)
		if err != nil {
			t.Fatal(err)
		}
		places := map[uint64]bool{}
		for i := range o.sets {
			ops := x.variants[0].operations(nil, o, i)
			places[ops[0].Args[2].Bits] = true // count, x, w
		}
		const bytes = 384 * 128 * 2
		if want := (1<<20 + bytes - 1) / bytes; len(places) != want || len(o.sets) != want {
			t.Errorf("%s: %d places of %d bytes, want %d", target, len(places), bytes, want)
		}
		for at, b := range card.wrote {
			if len(b) > 100 && hasZero(b) {
				t.Errorf("%s: memory at %x has a zero", target, at)
			}
		}
		m.free()
		if len(card.memory) != 0 {
			t.Error("memory is kept")
		}
	}
}

// hasZero reports whether two bytes beside each other, at an even place, are zero.
func hasZero(b []byte) bool {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return true
		}
	}
	return false
}

// TestTuneFails where the device does, and names what it was at.
func TestTuneFails(t *testing.T) {
	boom := errors.New("no room")
	x := trial{key: "the key", reserve: func(*cardMemory) (operands, error) { return operands{}, boom }}
	if _, err := measureAll(&fakeCard{}, nil, []trial{x}, cardWatch); !errors.Is(err, boom) || !strings.Contains(err.Error(), "the key") {
		t.Errorf("%v", err)
	}
}

// goldenPTX gives kernels the PTX that the repository keeps of them.
type goldenPTX struct{ t *testing.T }

func (goldenPTX) Version() string { return "" }

const goldenPTXFolder = "../../codegen/cuda/kernels/testdata/ptx/"

func hasGoldenPTX(v variant) bool {
	return !slices.ContainsFunc(v.kernels, func(k launch.Kernel) bool {
		_, err := os.Stat(goldenPTXFolder + k.Entry() + ".ptx.gz")
		return err != nil
	})
}

func (g goldenPTX) Compile(jobs []nvrtc.Job) (all []nvrtc.Code, err error) {
	for _, j := range jobs {
		f, err := os.Open(goldenPTXFolder + j.Name + ".ptx.gz")
		if err != nil {
			g.t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			g.t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, nvrtc.Code{Bytes: b})
	}
	return all, nil
}

// TestTuneInTheSimulator: the launches that are measured are right: no kernel
// reads what was not written, or reaches beyond its operands. Kernels are those
// whose PTX is kept: all tiles of a plain product, and attention with heads of
// 64, all queries of a row and one.
func TestTuneInTheSimulator(t *testing.T) {
	g, _ := gpuModel("sm_90:f16", nil) // whose blocks have the shared memory for all tiles
	linear := launch.Make("linear", launch.LinearTiles()[0].Constants())
	q := &plan.Program{
		Plan: &plan.Plan{
			Kernels: []plan.Kernel{{Kernel: linear}},
			Weights: []plan.Weight{{Shape: []int{72, 40}}},
		},
		Steps: []plan.Step{{Op: plan.Linear, Args: []plan.Arg{{Kind: plan.FromBuffer}, {Kind: plan.FromWeight}, {Kind: plan.FromWeight}, {}, {}}, Launches: []plan.Launch{{Kernels: []int{0}}}}},
	}
	trials := trialsOf(q, g, []int{64}, 0)
	if len(trials) != 1 || len(trials[0].variants) != len(launch.LinearTiles()) {
		t.Fatalf("%d trials", len(trials))
	}
	for _, rows := range []plan.RowChoice{plan.AllRows, plan.FirstRows} {
		s := &plan.Step{Op: plan.OTFAttention, Args: make([]plan.Arg, len(plan.OTFAttention.Operands())), Params: plan.Params{Heads: 2, D: 64, Dv: 64, Rows: rows}}
		x := attentionTrial(q, s, g, 120, 2)
		x.variants = slices.DeleteFunc(x.variants, func(v variant) bool { return !hasGoldenPTX(v) })
		if want := map[plan.RowChoice]int{plan.AllRows: 4, plan.FirstRows: 2}[rows]; len(x.variants) != want {
			t.Errorf("%d variants of attention have PTX, want %d", len(x.variants), want)
		}
		trials = append(trials, x)
	}
	d := ptxsim.NewDriver(ptxsim.Options{})
	functions, err := loadKernels(d, goldenPTX{t}, 80, trials)
	if err != nil {
		t.Fatal(err)
	}
	w := stopwatch{rounds: 1, most: 2, now: time.Now}
	table, err := measureAll(d, functions, trials, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range trials {
		if m := table.Entries[x.key]; m.Use == "" || m.Micros <= 0 {
			t.Errorf("%s: %+v", x.key, m)
		}
	}
}

// TestTuneModelInTheSimulator: the same for products with epilogues, gathered
// columns and sums in float32, and for every attention operator, of models with
// zeros, where NVRTC is there. Two tiles of each product suffice: operands are
// those of all.
func TestTuneModelInTheSimulator(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles many kernels")
	}
	c := simCompiler(t)
	seen := map[string]bool{}
	for i, class := range []string{"GPT2LMHeadModel", "BertForSequenceClassification", "TransformerModel"} {
		rng := rand.New(rand.NewPCG(uint64(i), 21))
		ckpt := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 16, Inner: 40, Zeros: true, NormFirst: true})
		r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, Buckets: []int{20}})
		if err != nil {
			t.Fatal(err)
		}
		q := r.Plan.Programs[0]
		g, _ := gpuModel(q.Target, nil)
		trials := trialsOf(q, g, []int{64}, 40)
		for j := range trials {
			if v := trials[j].variants; strings.Contains(trials[j].key, "linear") {
				trials[j].variants = []variant{v[j%len(v)], v[(j+4)%len(v)]}
				trials[j].model = v[j%len(v)].name
			}
			for _, v := range trials[j].variants {
				for _, k := range v.kernels {
					for _, d := range k.Defines {
						seen[fmt.Sprint(k.Family, " ", d.Name, " ", d.Value)] = true
					}
				}
			}
		}
		d := ptxsim.NewDriver(ptxsim.Options{Workers: 2})
		functions, err := loadKernels(d, c, 80, trials)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := measureAll(d, functions, trials, stopwatch{rounds: 1, most: 1, now: time.Now}); err != nil {
			t.Errorf("%s: %v", class, err)
		}
	}
	for _, want := range []string{"linear R32 1", "linear GATHER 1", "linear OUT32 1", "partial_otf_scores CAUSAL 1", "partial_otf_attention ROWS 1", "flash_attention QB 64", "otf_attention QB 64"} {
		if !seen[want] {
			t.Errorf("no trial has %s", want)
		}
	}
}
