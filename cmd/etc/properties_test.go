package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/codegen"
	codegencpu "etc/codegen/cpu"
	"etc/compiler"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// levels are those that this machine runs.
func levels() []kernel.Level {
	var all []kernel.Level
	for _, l := range []kernel.Level{kernel.Generic, kernel.AVX2, kernel.AVX512, kernel.AVX512VNNI} {
		if kernel.Supported(l) {
			all = append(all, l)
		}
	}
	return all
}

// newExecutor opens p on a device of its own.
func newExecutor(t testing.TB, p *plan.Program, level kernel.Level, threads int, o executor.Options) *executor.Executor {
	t.Helper()
	d, err := cpu.New(cpu.Options{Level: level, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	x, err := executor.New(p, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// randomCheckpoint is a small one of the class, sizes odd, zeros of every kind.
func randomCheckpoint(t testing.TB, rng *rand.Rand, class string, o frontendtest.Options) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(frontendtest.Random(t, rng, class, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A subject is a plan and the float64 meaning of what it was made from.
type subject struct {
	plan    *plan.Program
	meaning *interp.Program
}

func load(t testing.TB, g *ir.Graph) *interp.Program {
	t.Helper()
	p, err := interp.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// randomSubject is a random checkpoint of a class, compiled.
func randomSubject(t testing.TB, rng *rand.Rand, class string) subject {
	t.Helper()
	o := frontendtest.RandomOptions(rng)
	o.HeadSize = 1 + rng.IntN(20)
	c := randomCheckpoint(t, rng, class, o)
	imported, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compiler.Compile(c, compiler.Options{Targets: []string{cpu.Target}, Buckets: randomBuckets(rng), Dense: rng.IntN(8) == 0})
	if err != nil {
		t.Fatal(err)
	}
	return subject{r.Plan.Programs[0], load(t, imported.Graph)}
}

// lowered is a graph of irtest as a plan. It reaches what no frontend makes
// yet: bias tables, heads whose widths differ, odd orders of operators.
func lowered(t testing.TB, rng *rand.Rand, g *ir.Graph) subject {
	t.Helper()
	s := subject{meaning: load(t, g.Clone())}
	r, err := compiler.Lower(g, modelOf(g), compiler.Options{Targets: []string{cpu.Target}, Buckets: randomBuckets(rng)})
	if err != nil {
		t.Fatal(err)
	}
	s.plan = r.Plan.Programs[0]
	return s
}

// modelOf describes a graph of irtest.
func modelOf(g *ir.Graph) plan.Model {
	m := plan.Model{Architecture: g.Name, MaxTokens: frontendtest.MaxLength, Task: plan.Embedding}
	for _, op := range g.Ops {
		if op.Kind == ir.Embed {
			m.VocabSize = int(op.Arg("word").Type.Rows())
			if types := op.Arg("type"); types != nil {
				m.TypeVocabSize = int(types.Type.Rows())
			}
		}
	}
	for _, o := range g.Outputs {
		switch {
		case o.Name == "nll":
			m.Task = plan.CausalLM
		case o.Name == "logits" && o.When == ir.Always:
			m.Task = plan.Classification
			for i := range o.Value.Type.Width() {
				m.Labels = append(m.Labels, fmt.Sprint(i))
			}
		}
	}
	return m
}

// randomBuckets end with the longest row.
func randomBuckets(rng *rand.Rand) []int {
	var buckets []int
	for range rng.IntN(4) {
		buckets = append(buckets, 1+rng.IntN(frontendtest.MaxLength-1))
	}
	buckets = append(buckets, frontendtest.MaxLength)
	slices.Sort(buckets)
	return slices.Compact(buckets)
}

// randomBatch are one to seven rows, most short, some of up to 130 tokens.
func randomBatch(rng *rand.Rand, m *plan.Model) (ids, types [][]int32) {
	for range 1 + rng.IntN(7) {
		most := 12
		if rng.IntN(5) == 0 {
			most = frontendtest.MaxLength
		}
		row, kinds := randomRow(rng, m, 1+rng.IntN(most))
		ids, types = append(ids, row), append(types, kinds)
	}
	return ids, types
}

func randomRow(rng *rand.Rand, m *plan.Model, n int) (ids, types []int32) {
	for range n {
		ids = append(ids, int32(rng.IntN(m.VocabSize)))
		types = append(types, int32(rng.IntN(max(1, m.TypeVocabSize))))
	}
	return ids, types
}

// compare runs random rows and holds every output, on demand and taps
// included, against its meaning.
func (s subject) compare(t *testing.T, rng *rand.Rand, level kernel.Level) {
	t.Helper()
	s.compareOn(t, rng, newExecutor(t, s.plan, level, 1+rng.IntN(3), executor.Options{}), logitTolerance, true)
}

// compareOn is compare with an executor of the plan, within tolerance of the
// largest value of an output. Hits are left out where the best answers of
// random weights lie closer together than that.
func (s subject) compareOn(t *testing.T, rng *rand.Rand, x *executor.Executor, tolerance func(largest float64) float64, hits bool) {
	t.Helper()
	ids, types := randomBatch(rng, &s.plan.Model)
	want, err := s.meaning.Run(batchInputs(&s.plan.Model, ids, types))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range s.plan.Outputs {
		names = append(names, o.Name)
	}
	got, err := x.Forward(ids, types, names...)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		ref := pickRows(s.plan, name, want[name], ids)
		if name == "hit" {
			if hits {
				checkHits(t, got[i], ref, want["logits"])
			}
			continue
		}
		largest := 0.0
		for _, v := range ref {
			largest = max(largest, math.Abs(v))
		}
		if len(got[i]) != len(ref) {
			t.Fatalf("output %q: %d values, want %d", name, len(got[i]), len(ref))
		}
		for j, v := range ref {
			if e := math.Abs(float64(got[i][j]) - v); !(e <= tolerance(largest)) {
				t.Fatalf("output %q: value %d is %v, want %v (off by %.3g, allowed %.3g)\n%s", name, j, got[i][j], v, e, tolerance(largest), s.plan.Graph)
			}
		}
	}
}

// checkHits compares where the best of the logits leads by more than their tolerance.
func checkHits(t *testing.T, got []float32, want []float64, logits *interp.Array) {
	t.Helper()
	width := logits.Shape[1]
	for i, w := range want {
		if i > 0 && float64(got[i]) != w {
			row := slices.Sorted(slices.Values(logits.F[(i-1)*width : i*width]))
			if lead := row[width-1] - row[width-2]; lead > 1e-3 {
				t.Fatalf("token %d: hit is %v, want %v; the best leads by %v", i, got[i], w, lead)
			}
		}
	}
}

// TestPlanIsInterp: a compiled plan means what the imported checkpoint means.
func TestPlanIsInterp(t *testing.T) {
	for _, class := range frontendtest.Classes {
		t.Run(class, func(t *testing.T) {
			for seed := range seeds(30) {
				rng := rand.New(rand.NewPCG(seed, 1))
				s := randomSubject(t, rng, class)
				for _, level := range levels() {
					t.Run(fmt.Sprintf("%d/%v", seed, level), func(t *testing.T) { s.compare(t, rng, level) })
				}
			}
		})
	}
}

// seeds bounds the random cases where time is short.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return min(n, 3)
	}
	return n
}

// TestLoweredGraphIsInterp is TestPlanIsInterp from graphs of irtest.
func TestLoweredGraphIsInterp(t *testing.T) {
	for seed := range seeds(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := lowered(t, rng, irtest.RandomGraph(rng))
		for _, level := range levels() {
			t.Run(fmt.Sprintf("%d/%v", seed, level), func(t *testing.T) { s.compare(t, rng, level) })
		}
	}
}

// TestLargeVocabulary has a loss over three blocks of the vocabulary, the last
// of them a part. A token's own row of the tied table is its best answer, so
// one that comes twice is a hit.
func TestLargeVocabulary(t *testing.T) {
	const vocabulary = 2*1024 + 133
	rng := rand.New(rand.NewPCG(3, 3))
	g := &ir.Graph{Name: "vocabulary"}
	offsets, ids := g.NewInput("offsets", ir.I32(ir.Ends)), g.NewInput("ids", ir.I32(ir.T))
	word, b := randomWeight(rng, g, "word", vocabulary, 64), randomWeight(rng, g, "b", vocabulary)
	x := g.New(ir.Embed, &ir.EmbedAttrs{Scale: 8}, "embeddings", ids, nil, nil, word, nil, nil).Result()
	nll := g.New(ir.LinearNLL, nil, "head", x, word, b, ids, offsets)
	g.Outputs = []ir.Output{
		{Name: "nll", Value: nll.Results[0]}, {Name: "hit", Value: nll.Results[1]},
		{Name: "logits", Value: g.New(ir.Linear, &ir.LinearAttrs{}, "head", x, word, b).Result(), When: ir.OnDemand},
	}
	s := lowered(t, rng, g)
	row := []int32{5, 5, 1030, 1030, 1030, 2060, 2060, vocabulary - 1, vocabulary - 1, 0}
	for _, level := range levels() {
		s.compare(t, rng, level)
		got, err := newExecutor(t, s.plan, level, 2, executor.Options{}).Forward([][]int32{row}, nil, "hit")
		if err != nil || fmt.Sprint(got[0]) != "[0 1 0 1 1 0 1 0 1 0]" {
			t.Errorf("%v: hits %v, %v", level, got, err)
		}
	}
}

func randomWeight(rng *rand.Rand, g *ir.Graph, name string, shape ...int) *ir.Value {
	n, _ := tensor.Elements(shape)
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64() / math.Sqrt(float64(shape[len(shape)-1]))
	}
	return g.NewWeight(name, tensor.FromFloat64s(shape, v).Convert(tensor.F32))
}

// forced lowers g with the forms of products and attention drawn by lot, which
// the cost model would seldom or never choose.
func forced(t testing.TB, rng *rand.Rand, g *ir.Graph, m plan.Model) subject {
	t.Helper()
	meaning := load(t, g.Clone())
	s := forcedFor(t, rng, g, m, cpu.Target)
	s.meaning = meaning
	return s
}

// forcedFor is forced for a CPU target; g, lowered then, is what it means.
func forcedFor(t testing.TB, rng *rand.Rand, g *ir.Graph, m plan.Model, target string) subject {
	t.Helper()
	var s subject
	pass.Run(g, transform.Passes(transform.Options{
		PrecomputePays: func(*ir.AttentionAttrs, int, int) bool { return rng.IntN(2) == 0 },
		LinearForm: func(w sparse.Matrix) ir.Kind {
			forms := []ir.Kind{ir.Linear, ir.BlockSparseLinear, ir.CSRLinear}
			if w.NM24 {
				return ir.Sparse24Linear
			}
			return forms[rng.IntN(len(forms))]
		},
	}), transform.Lowered, nil)
	whole := &plan.Plan{Model: m, MaxBatchTokens: 64}
	s.plan = &plan.Program{Target: target}
	order := schedule.Make(g)
	var weights codegen.Packer
	if err := codegencpu.Generate(g, order, s.plan, &weights); err != nil {
		t.Fatal(err)
	}
	weights.Finish(whole)
	whole.Add(s.plan)
	bucket := plan.Bucket{MaxTokens: m.MaxTokens}
	for i, op := range order.Ops {
		if op.Kind.IsFusedAttention() {
			bucket.Choices = append(bucket.Choices, plan.Choice{Step: i, Op: plan.FlashAttention})
		}
	}
	s.plan.Buckets = []plan.Bucket{bucket}
	if err := plan.Check(whole); err != nil {
		t.Fatal(err)
	}
	s.meaning = load(t, g)
	return s
}

// randomForced is forced of a graph of irtest or of the paper's language
// model, whose last layer may end without a norm.
func randomForced(t testing.TB, seed uint64) (subject, *rand.Rand) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 4))
	if seed%2 == 0 {
		g := irtest.RandomGraph(rng)
		return forced(t, rng, g, modelOf(g)), rng
	}
	imported, err := frontend.Import(randomCheckpoint(t, rng, "TransformerModel", frontendtest.Options{Zeros: true, NormFirst: true}))
	if err != nil {
		t.Fatal(err)
	}
	return forced(t, rng, imported.Graph, imported.Model), rng
}

// TestForcedFormsAreInterp reaches every operator, with and without each of
// its optional operands, often enough to trust it.
func TestForcedFormsAreInterp(t *testing.T) {
	const enough = 3
	seen := map[string]int{}
	for seed := range seeds(200) {
		s, rng := randomForced(t, seed)
		for _, st := range s.plan.Steps {
			seen[st.Op.String()]++
			for i, name := range st.Op.Operands() {
				if st.Args[i].Kind != plan.None {
					seen[st.Op.String()+" with "+name]++
				}
			}
		}
		for _, level := range levels() {
			t.Run(fmt.Sprintf("%d/%v", seed, level), func(t *testing.T) { s.compare(t, rng, level) })
		}
	}
	for _, o := range plan.Ops() {
		if o == plan.PartialOTFAttention || o == plan.FlashAttention || testing.Short() {
			continue // codegen makes otf_attention, for which buckets put another
		}
		for _, form := range append(o.Operands(), "") {
			if form != "" {
				form = " with " + form
			}
			if seen[o.String()+form] < enough {
				t.Errorf("%v%s: in %d plans, want %d", o, form, seen[o.String()+form], enough)
			}
		}
	}
}
