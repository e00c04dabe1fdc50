package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/codegen"
	"etc/codegen/cuda/nvrtc"
	"etc/compiler/cost"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// lowered is a random checkpoint of a class in kernel operators.
func lowered(t *testing.T, class string, o frontendtest.Options) (*ir.Graph, plan.Model) {
	t.Helper()
	c, err := checkpoint.Open(frontendtest.Random(t, rand.New(rand.NewPCG(1, 1)), class, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	imported, err := frontend.Import(c)
	if err != nil {
		t.Fatal(err)
	}
	pass.Run(imported.Graph, transform.Passes(transform.Options{HeadMultiple: HeadMultiple}), transform.Lowered, nil)
	return imported.Graph, imported.Model
}

var sizes = frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 16, Inner: 40}

// TestStorage: what is multiplied is in 16 bits, what is summed over layers
// and what is answered in 32.
func TestStorage(t *testing.T) {
	for _, c := range []struct {
		class string
		wide  map[string]bool // operator, result: kept in f32
	}{
		// Norms after the sums: the residual is what the next product reads.
		{"BertForSequenceClassification", map[string]bool{
			"embed_layernorm 0": false, "skip_layernorm 1": false, "otf_attention 0": false, "logits": true,
		}},
		// Norms before the products: the sums go through all layers.
		{"GPT2LMHeadModel", map[string]bool{
			"embed 0": true, "layernorm 0": false, "skip_layernorm 0": true, "skip_layernorm 1": false, "otf_attention 0": false, "linear_nll 0": true, "linear_nll 1": true,
		}},
		{"BertModel", map[string]bool{"pool 0": true, "normalize 0": true, "embedding": true}},
	} {
		g, _ := lowered(t, c.class, sizes)
		storage := Storage(g, tensor.F16)
		seen := map[string]bool{}
		check := func(name string, v *ir.Value) {
			want, listed := c.wide[name]
			if seen[name] = true; listed && (storage(v) == tensor.F32) != want {
				t.Errorf("%s: %s is %v", c.class, name, storage(v))
			}
		}
		for _, op := range g.Ops {
			for i, r := range op.Results {
				check(fmt.Sprintf("%v %d", op.Kind, i), r)
			}
			for i, a := range op.Args {
				if a != nil && multiplies(op.Kind, ir.OperandName(op.Kind, i)) && storage(a) != tensor.F16 {
					t.Errorf("%s: %v multiplies a value in %v", c.class, op.Kind, storage(a))
				}
			}
		}
		for _, o := range g.Outputs {
			check(o.Name, o.Value)
		}
		for name := range c.wide {
			if !seen[name] && name != "normalize 0" && name != "pool 0" {
				t.Errorf("%s has no %s", c.class, name)
			}
		}
	}
}

// generate makes the program of a graph.
func generate(t *testing.T, gen *Generator, g *ir.Graph, m plan.Model, model cost.GPU, elem tensor.DType, to *plan.Plan, weights *codegen.Packer) error {
	t.Helper()
	p := &plan.Program{Target: fmt.Sprintf("sm_%d:%v", model.SM, elem)}
	model.DType = elem.String()
	_, err := gen.Generate(g, schedule.MakeStored(g, Storage(g, elem)), p, &model, elem, []int{32, m.MaxTokens}, weights)
	to.Add(p)
	return err
}

// A fakeCompiler makes code that says what it was made from.
type fakeCompiler struct{ jobs []nvrtc.Job }

func (c *fakeCompiler) Version() string { return "0.0" }

func (c *fakeCompiler) Compile(jobs []nvrtc.Job) ([]nvrtc.Code, error) {
	c.jobs = append(c.jobs, jobs...)
	var all []nvrtc.Code
	for _, j := range jobs {
		code := nvrtc.Code{Bytes: []byte(j.String())}
		if !j.PTX {
			code = nvrtc.Code{Bytes: []byte("\x7fELF" + j.String()), Registers: 40}
		}
		all = append(all, code)
	}
	return all, nil
}

// TestKernelsAreSharedAndCompiledOnce: two architectures give one kernel two
// cubins and one PTX of the lower; the weights are there once; layers of one
// shape share their kernels. The plan is one that Check takes.
func TestKernelsAreSharedAndCompiledOnce(t *testing.T) {
	g, m := lowered(t, "BertForSequenceClassification", sizes)
	var gen Generator
	var weights codegen.Packer
	p := &plan.Plan{Model: m, MaxBatchTokens: 64}
	for _, model := range []cost.GPU{cost.A100, cost.H200} {
		if err := generate(t, &gen, g, m, model, tensor.F16, p, &weights); err != nil {
			t.Fatal(err)
		}
	}
	weights.Finish(p)
	c := &fakeCompiler{}
	if err := gen.Finish(p, c); err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(p); err != nil {
		t.Fatal(err)
	}
	both := 0
	for _, k := range p.Kernels {
		var have []string
		for _, image := range k.Images {
			have = append(have, string(p.Code[image.Code.Offset:image.Code.Offset+image.Code.Size]))
			if strings.Contains(have[len(have)-1], k.Entry()+" ") == false {
				t.Errorf("%s has the code %q", k.Entry(), have)
			}
		}
		want := []string{"\x7fELF" + k.Entry() + " for sm_80", k.Entry() + " for compute_80", "\x7fELF" + k.Entry() + " for sm_90"}
		if slices.Equal(have, want) {
			both++
		}
		if source := string(p.Code[k.Source.Offset : k.Source.Offset+k.Source.Size]); !strings.Contains(source, "#define ENTRY "+k.Entry()+"\n") {
			t.Errorf("the source of %s does not define it", k.Entry())
		}
	}
	if both < 5 {
		t.Errorf("%d of %d kernels have a cubin for each and PTX of the lower", both, len(p.Kernels))
	}
	names := map[string]bool{}
	for _, w := range p.Weights {
		if key := fmt.Sprint(w.Name, w.Layout); names[key] {
			t.Errorf("weight %s is there twice", w.Name)
		} else {
			names[key] = true
		}
	}
	entries, users := map[string]bool{}, map[int]int{}
	for _, k := range p.Kernels {
		if entries[k.Entry()] {
			t.Errorf("kernel %s is there twice", k.Entry())
		}
		entries[k.Entry()] = true
	}
	shared := false
	for _, s := range p.Programs[0].Steps {
		for _, l := range s.Launches {
			for _, k := range l.Kernels {
				users[k]++
				shared = shared || users[k] > 1 && l.Tokens == 0
			}
		}
	}
	if !shared {
		t.Error("no two steps run one kernel")
	}

	sources := &plan.Plan{Model: m, MaxBatchTokens: 64}
	var second Generator
	var packed codegen.Packer
	if err := generate(t, &second, g, m, cost.A100, tensor.BF16, sources, &packed); err != nil {
		t.Fatal(err)
	}
	packed.Finish(sources)
	if err := second.Finish(sources, nil); err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(sources); err != nil {
		t.Error(err)
	}
	for _, k := range sources.Kernels {
		if len(k.Images) != 0 || k.Value("DTYPE") == 0 && k.Family != "linear_nll_combine" {
			t.Errorf("%s: images without a compiler, or another storage type than bf16", k.Entry())
		}
	}
}

// TestWeightsThatDoNotFitF16 are refused by name; bf16 takes them.
func TestWeightsThatDoNotFitF16(t *testing.T) {
	g, m := lowered(t, "BertForSequenceClassification", sizes)
	name := ""
	for _, op := range g.Ops {
		if op.Kind == ir.Linear && name == "" {
			w := op.Arg("w")
			values, _ := w.Data()
			v := values.Float64s()
			v[3] = -70000
			op.Args[1] = g.NewWeightBefore(op, w.WeightName(), tensor.FromFloat64s(values.Shape, v))
			name = w.WeightName()
		}
	}
	var weights codegen.Packer
	err := generate(t, &Generator{}, g, m, cost.A100, tensor.F16, &plan.Plan{Model: m}, &weights)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Unsupported || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "-70000") {
		t.Errorf("%v, want that %q has a value that f16 cannot hold", err, name)
	}
	if err := generate(t, &Generator{}, g, m, cost.A100, tensor.BF16, &plan.Plan{Model: m}, &codegen.Packer{}); err != nil {
		t.Errorf("bf16: %v", err)
	}
}

// TestHintOfWeights: bf16 is recommended where it helps, and nowhere else.
func TestHintOfWeights(t *testing.T) {
	for _, c := range []struct {
		elem tensor.DType
		v    float64
		hint bool
	}{
		{tensor.F16, 65520, true}, {tensor.F16, -3.38e38, true}, {tensor.F16, math.MaxFloat32, false}, {tensor.F16, math.Inf(1), false}, {tensor.F16, math.NaN(), false},
		{tensor.BF16, math.MaxFloat32, false}, {tensor.BF16, math.NaN(), false},
	} {
		p := packer{elem: c.elem}
		p.round(tensor.FromFloat64s([]int{2}, []float64{1, c.v}), "w")
		if p.err == nil || strings.Contains(p.err.Error(), "bf16 has the range") != c.hint || !strings.Contains(p.err.Error(), fmt.Sprint(c.v)) {
			t.Errorf("%v in %v: %v, want a hint: %v", c.v, c.elem, p.err, c.hint)
		}
	}
}

// TestHeadsThatNoKernelTakes are refused before anything is made.
func TestHeadsThatNoKernelTakes(t *testing.T) {
	o := sizes
	o.HeadSize = 264
	g, m := lowered(t, "BertModel", o)
	err := generate(t, &Generator{}, g, m, cost.A100, tensor.F16, &plan.Plan{Model: m}, &codegen.Packer{})
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Unsupported || !strings.Contains(err.Error(), "264") {
		t.Errorf("%v, want that heads of 264 are not supported", err)
	}
}

// TestClassesOfRows: tiles change only where another is better, classes ascend,
// the last takes any number, and all kernels of a product have the same end.
func TestClassesOfRows(t *testing.T) {
	c := &chooser{model: &cost.H200, elem: tensor.F16, storage: func(*ir.Value) tensor.DType { return tensor.F16 }}
	for _, nk := range [][2]int{{768, 768}, {3072, 768}, {64, 64}, {30522, 768}} {
		g := &ir.Graph{}
		x := g.NewInput("x0", ir.F32(ir.T, ir.Dim(nk[1])))
		w := g.NewWeight("w", tensor.FromFloat32s([]int{nk[0], nk[1]}, make([]float32, nk[0]*nk[1])))
		classes := c.linear(g.New(ir.Linear, &ir.LinearAttrs{Act: ir.GELU}, "", x, w))
		last := 0
		for i, class := range classes {
			if (class.rows <= last) != (i == len(classes)-1 && class.rows == 0) {
				t.Errorf("%v: class %d is for %d rows, after %d", nk, i, class.rows, last)
			}
			last = class.rows
			k := class.kernels[0]
			if len(class.kernels) != 1 || k.Check() != nil || k.Value("ACT") != int(ir.GELU) {
				t.Errorf("%v: %v", nk, class.kernels)
			}
			if i > 0 && k.Entry() == classes[i-1].kernels[0].Entry() {
				t.Errorf("%v: two classes with %s", nk, k.Entry())
			}
		}
		if last != 0 {
			t.Errorf("%v: no class takes more than %d rows", nk, last)
		}
	}
}

// TestValueOutputFits: long rows take the small block of queries, and longer
// ones have no kernel.
func TestValueOutputFits(t *testing.T) {
	a := &ir.AttentionAttrs{Heads: 1, D: 61, Dv: 512}
	for _, c := range []struct {
		tokens, queries int
	}{{64, 64}, {512, 16}, {1 << 14, 0}} {
		padded := *a
		padded.D = 64
		constants, ok := valueOutputConstants(&cost.A100, &padded, c.tokens)
		if ok != (c.queries > 0) || constants["QB"] != c.queries || ValueOutputFits(&cost.A100, a, c.tokens) != ok {
			t.Errorf("%d tokens: %v, %v, want blocks of %d queries", c.tokens, constants, ok, c.queries)
		}
	}
}
