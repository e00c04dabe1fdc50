package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"etc/codegen"
	"etc/codegen/cuda"
	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/compiler/cost"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/gpu"
	"etc/executor/ptxsim"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/sparse"
	"etc/ir/tensor"
	"etc/prune"
)

// simTarget is the target of tests in the simulator.
const simTarget = "sm_80:f16"

// ptxOnly compiles what the simulator runs: machine code is left out, which
// takes most of the time.
type ptxOnly struct{ *nvrtc.Compiler }

func (c ptxOnly) Compile(jobs []nvrtc.Job) ([]nvrtc.Code, error) {
	var wanted []nvrtc.Job
	for _, j := range jobs {
		if j.PTX {
			wanted = append(wanted, j)
		}
	}
	made, err := c.Compiler.Compile(wanted)
	if err != nil {
		return nil, err
	}
	var all []nvrtc.Code
	for _, j := range jobs {
		code := nvrtc.Code{Bytes: []byte("\x7fELF no machine code"), Registers: 1}
		if j.PTX {
			code, made = made[0], made[1:]
		}
		all = append(all, code)
	}
	return all, nil
}

// simCompiler is NVRTC where make nvrtc has installed it or it is elsewhere;
// the test is passed over where it is not.
func simCompiler(t testing.TB) cuda.Compiler {
	t.Helper()
	c, err := nvrtc.Find(nvrtc.Options{Helper: nvrtcHelper(), Cache: cacheFolder()})
	if err != nil {
		t.Skipf("no NVRTC: %v", err)
	}
	return ptxOnly{c}
}

// simExecutor opens p in the simulator.
func simExecutor(t testing.TB, p *plan.Program, o executor.Options, sim ptxsim.Options) *executor.Executor {
	t.Helper()
	sim.Workers = 2
	x, err := executor.New(p, gpu.New(ptxsim.NewDriver(sim)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// halfTolerance is what a value of an output may be off by in f16, L being the
// largest (design.md, Numerics).
func halfTolerance(largest float64) float64 { return 2e-2 * max(largest, 1) }

// compareSim holds every output of random rows in the simulator against its
// meaning.
func (s subject) compareSim(t *testing.T, rng *rand.Rand, o ptxsim.Options) {
	t.Helper()
	s.compareOn(t, rng, simExecutor(t, s.plan, executor.Options{}, o), halfTolerance, false)
}

// TestSimIsInterp: a GPU program in the simulator means what the checkpoint
// means, every output and tap, for each class.
func TestSimIsInterp(t *testing.T) {
	c := simCompiler(t)
	for i, class := range frontendtest.Classes {
		t.Run(class, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			ckpt := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 11, Inner: 50, Zeros: i%2 == 1, NormFirst: i%2 == 0})
			imported, err := frontend.Import(ckpt)
			if err != nil {
				t.Fatal(err)
			}
			r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, Buckets: []int{20, frontendtest.MaxLength}, NVRTC: c})
			if err != nil {
				t.Fatal(err)
			}
			s := subject{r.Plan.Programs[0], load(t, imported.Graph)}
			s.compareSim(t, rng, ptxsim.Options{})
			s.compareSim(t, rng, ptxsim.Options{Reverse: true, EarlyCopies: true})
		})
	}
}

// byLot forces forms of products drawn by lot.
func byLot(rng *rand.Rand) transform.Options {
	return transform.Options{
		PrecomputePays: func(*ir.AttentionAttrs, int, int) bool { return rng.IntN(2) == 0 },
		LinearForm: func(w sparse.Matrix) ir.Kind {
			forms := []ir.Kind{ir.Linear, ir.BlockSparseLinear, ir.CSRLinear}
			if w.NM24 {
				return ir.Sparse24Linear
			}
			return forms[rng.IntN(len(forms))]
		},
	}
}

// simForced lowers g for the simulator with the choices and the attention
// operator given, which the cost model would seldom make.
func simForced(t testing.TB, g *ir.Graph, m plan.Model, o transform.Options, attention ir.Kind, c cuda.Compiler) subject {
	t.Helper()
	s := subject{meaning: load(t, g.Clone())}
	o.HeadMultiple = cuda.HeadMultiple
	pass.Run(g, transform.Passes(o), transform.Lowered, nil)
	model := cost.A100
	model.DType, model.Tuning = "f16", cost.NewTuning()
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.AttentionAttrs); ok {
			for _, e := range model.Attention(a, m.MaxTokens) {
				if e.Kind == attention {
					model.Tuning.Entries[cost.AttentionKey(model.SM, model.DType, a, m.MaxTokens)] = cost.Measured{Use: e.Variant(), Micros: 1}
				}
			}
		}
	}
	whole := &plan.Plan{Model: m, MaxBatchTokens: 64}
	s.plan = &plan.Program{Target: simTarget}
	var weights codegen.Packer
	var kernels cuda.Generator
	if _, err := kernels.Generate(g, schedule.MakeStored(g, cuda.Storage(g, tensor.F16)), s.plan, &model, tensor.F16, []int{m.MaxTokens}, &weights); err != nil {
		t.Fatal(err)
	}
	weights.Finish(whole)
	whole.Add(s.plan)
	if err := kernels.Finish(whole, c); err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(whole); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSimForcedForms reaches every operator on the GPU: each form of products,
// each attention operator, V·O multiplied beforehand, bias tables.
func TestSimForcedForms(t *testing.T) {
	c := simCompiler(t)
	kinds := []ir.Kind{ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention}
	seen := map[plan.Op]bool{}
	n := uint64(24)
	if testing.Short() {
		n = 6
	}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 12))
		var g *ir.Graph
		m := plan.Model{}
		if seed%3 != 0 {
			g = irtest.RandomGraph(rng)
			m = modelOf(g)
		} else {
			imported, err := frontend.Import(randomCheckpoint(t, rng, "TransformerModel", frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 12, Inner: 40, Zeros: true, NormFirst: seed%2 == 0}))
			if err != nil {
				t.Fatal(err)
			}
			g, m = imported.Graph, imported.Model
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := simForced(t, g, m, byLot(rng), kinds[seed%3], c)
			for _, st := range s.plan.Steps {
				seen[st.Op] = true
			}
			for _, b := range s.plan.Buckets {
				for _, ch := range b.Choices {
					seen[ch.Op] = true
				}
			}
			s.compareSim(t, rng, ptxsim.Options{Reverse: seed%2 == 1, EarlyCopies: seed%4 > 1})
		})
	}
	for _, o := range plan.Ops() {
		if !seen[o] && !testing.Short() {
			t.Errorf("no program has %v", o)
		}
	}
}

// TestSimBatchInvariance: a row gives the same bits alone, shuffled and mixed
// with others, whatever the budget of tokens, and so whatever tiles and grids
// the size of a batch selects.
func TestSimBatchInvariance(t *testing.T) {
	c := simCompiler(t)
	for i, class := range []string{"BertForSequenceClassification", "GPT2LMHeadModel", "BertModel"} {
		t.Run(class, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 13))
			ckpt := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 16, Inner: 70, Zeros: i == 0})
			r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, Buckets: []int{7, 40, frontendtest.MaxLength}, NVRTC: c})
			if err != nil {
				t.Fatal(err)
			}
			p := r.Plan.Programs[0]
			var list []*rows.Row
			for j, n := range invariantLengths {
				ids, types := randomRow(rng, &p.Model, n)
				list = append(list, &rows.Row{Line: j, IDs: ids, TypeIDs: types})
			}
			o := ptxsim.Options{Unchecked: true}
			var alone []string
			x := simExecutor(t, p, executor.Options{Want: wantOf(p)}, o)
			for _, row := range list {
				alone = append(alone, runRows(t, x, []*rows.Row{row})...)
			}
			for _, budget := range []int{1, 64, 300, 4096} {
				x := simExecutor(t, p, executor.Options{Want: wantOf(p), MaxBatchTokens: budget}, o)
				shuffled := slices.Clone(list)
				rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				for j, got := range runRows(t, x, shuffled) {
					if at := shuffled[j].Line; got != alone[at] {
						t.Errorf("budget %d: row of %d tokens differs from itself alone", budget, len(shuffled[j].IDs))
					}
				}
			}
		})
	}
}

// TestSimLayer is one layer of the size of BERT_BASE on a row of 128 tokens.
func TestSimLayer(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	c := simCompiler(t)
	rng := rand.New(rand.NewPCG(1, 14))
	ckpt := randomCheckpoint(t, rng, "BertModel", frontendtest.Options{Layers: 1, Heads: 12, HeadSize: 64, Inner: 3072})
	imported, err := frontend.Import(ckpt)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, Buckets: []int{128}, NVRTC: c})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Plan.Programs[0]
	ids, types := randomRow(rng, &p.Model, 128)
	got, err := simExecutor(t, p, executor.Options{}, ptxsim.Options{}).Forward([][]int32{ids}, [][]int32{types}, "embedding")
	if err != nil {
		t.Fatal(err)
	}
	want, err := load(t, imported.Graph).Run(batchInputs(&p.Model, [][]int32{ids}, [][]int32{types}))
	if err != nil {
		t.Fatal(err)
	}
	if cosine := cosineOf(got[0], want["embedding"].F); !(cosine >= 0.9999) {
		t.Errorf("cosine %v, want 0.9999", cosine)
	}
}

func cosineOf(a []float32, b []float64) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		ab, aa, bb = ab+float64(x)*b[i], aa+float64(x)*float64(x), bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

// TestSimTiny: the model of testdata whole in the simulator gives the labels of
// float32 on the first 50 rows of dev, and its logits within the bound.
func TestSimTiny(t *testing.T) {
	c := simCompiler(t)
	ckpt, err := checkpoint.Open(filepath.Join("..", "..", "testdata", "tiny-sst2"))
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	n := 50
	if testing.Short() {
		n = 8
	}
	list := sentences(t)[:n]
	r, err := compiler.Compile(ckpt, compiler.Options{Targets: []string{simTarget}, NVRTC: c})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := logitsOf(t, tinyPlan(t), list)
	checkSimLogits(t, simLogits(t, r.Plan.Programs[0], list), want)
}

// simLogits are the logits of rows in the simulator.
func simLogits(t *testing.T, p *plan.Program, list []*rows.Row) (logits [][]float32) {
	t.Helper()
	x := simExecutor(t, p, executor.Options{MaxBatchTokens: 256}, ptxsim.Options{})
	err := x.Run(t.Context(), executor.List(slices.Clone(list)), func(r *executor.Result) error {
		logits = append(logits, append([]float32(nil), r.Logits...))
		return r.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// checkSimLogits: within the tolerance of f16, and the same label.
func checkSimLogits(t *testing.T, got, want [][]float32) {
	t.Helper()
	largest, worst := 0.0, 0.0
	for _, row := range want {
		for _, v := range row {
			largest = max(largest, math.Abs(float64(v)))
		}
	}
	for i, row := range want {
		for j, v := range row {
			worst = max(worst, math.Abs(float64(got[i][j]-v)))
		}
		if (got[i][1] > got[i][0]) != (row[1] > row[0]) {
			t.Errorf("row %d: %v, float32 gives %v: another label", i, got[i], row)
		}
	}
	t.Logf("%d rows, off by at most %.2g of %.3g", len(want), worst, largest)
	if !(worst <= 2e-2*largest) || len(got) != len(want) {
		t.Errorf("off by %v, want at most %v", worst, 2e-2*largest)
	}
}

// byZeros keeps a weight in the form that its zeros have, whether it pays or not.
func byZeros(w sparse.Matrix) ir.Kind {
	all := (w.N + sparse.Tile - 1) / sparse.Tile * ((w.K + sparse.Tile - 1) / sparse.Tile)
	switch {
	case w.Tiles < all:
		return ir.BlockSparseLinear
	case w.NM24:
		return ir.Sparse24Linear
	case w.NonZeros < w.N*w.K*9/10:
		return ir.CSRLinear
	}
	return ir.Linear
}

// TestSimPruned: whatever unit weights were zeroed by, each of E.T.'s kinds
// among them, the GPU program that leaves them out gives the labels of the
// zeroed checkpoint in float32.
func TestSimPruned(t *testing.T) {
	c := simCompiler(t)
	ckpt, err := checkpoint.Open(filepath.Join("..", "..", "testdata", "tiny-sst2"))
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	list := sentences(t)[:10]
	for i, m := range prune.Methods() {
		t.Run(m.Name, func(t *testing.T) {
			pruned := prunedCopy(t, ckpt, m, 0.3)
			if pruned == nil {
				pruned = prunedCopy(t, ckpt, m, 0.1)
			}
			if pruned == nil {
				t.Fatal("the method reaches not even a tenth")
			}
			imported, err := frontend.Import(pruned)
			if err != nil {
				t.Fatal(err)
			}
			imported.Model.MaxTokens = 64
			attention := []ir.Kind{ir.OTFAttention, ir.FlashAttention, ir.PartialOTFAttention}[i%3]
			s := simForced(t, imported.Graph, imported.Model, transform.Options{LinearForm: byZeros}, attention, c)
			dense := compilePlan(t, pruned, compiler.Options{Targets: []string{cpu.Target}, Dense: true})
			s.plan.Tokenizer = dense.Tokenizer
			want, _ := logitsOf(t, dense, list)
			checkSimLogits(t, simLogits(t, s.plan, list), want)
		})
	}
}
