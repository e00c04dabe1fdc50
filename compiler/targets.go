package compiler

import (
	"etc/codegen"
	"etc/codegen/cpu"
	"etc/codegen/cuda"
	"etc/compiler/cost"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// A target is one row of the table of targets: the model that chooses for it.
type target struct {
	name string
	cpu  *cost.Machine // nil: a GPU
	gpu  *cost.GPU     // nil: a CPU
	elem tensor.DType  // storage type of a GPU's matrices and activations
}

// targets are those that Compile knows.
var targets = []target{
	{name: cost.CPU.Target, cpu: &cost.CPU},
	{name: cost.CPUInt16.Target, cpu: &cost.CPUInt16},
	{name: cost.CPUInt8.Target, cpu: &cost.CPUInt8},
	{"sm_80:f16", nil, &cost.A100, tensor.F16},
	{"sm_80:bf16", nil, &cost.A100, tensor.BF16},
	{"sm_90:f16", nil, &cost.H200, tensor.F16},
	{"sm_90:bf16", nil, &cost.H200, tensor.BF16},
}

// Targets are the names of the targets that Compile knows.
var Targets = func() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}()

func targetOf(name string) *target {
	for i := range targets {
		if targets[i].name == name {
			return &targets[i]
		}
	}
	panic("bug: compiler: no target " + name)
}

// A lowering adds the programs of one plan.
type lowering struct {
	graph   *ir.Graph // of model operators
	options Options
	result  *Result
	weights codegen.Packer
	kernels cuda.Generator
	done    map[string]lowered
}

// A lowered graph is scheduled. GPU targets of one storage type share it: they
// read the same weights, and differ in kernels.
type lowered struct {
	graph *ir.Graph
	*schedule.Schedule
}

// add lowers the graph for one target and adds the program.
func (l *lowering) add(name string) error {
	t := targetOf(name)
	if t.gpu == nil {
		g := l.lower(l.options.passes(*t.cpu))
		s := schedule.Make(g)
		p := &plan.Program{Target: name, Graph: ir.Print(g)}
		if err := cpu.Generate(g, s, p, &l.weights); err != nil {
			return err
		}
		l.chooseAttention(t.cpu, p, s)
		l.result.Plan.Add(p)
		return nil
	}
	model := *t.gpu
	model.DType, model.Tuning = t.elem.String(), l.options.Tuning
	shared, ok := l.done[model.DType]
	if !ok {
		g := l.lower(l.gpuPasses(&model))
		shared = lowered{g, schedule.MakeStored(g, cuda.Storage(g, t.elem))}
		l.done[model.DType] = shared
	}
	p := &plan.Program{Target: name, Graph: ir.Print(shared.graph)}
	choices, err := l.kernels.Generate(shared.graph, shared.Schedule, p, &model, t.elem, l.options.Buckets, &l.weights)
	if err != nil {
		return err
	}
	for _, c := range choices {
		all := model.RankAttention(c.Op.Attrs.(*ir.AttentionAttrs), c.Tokens)
		l.result.Estimates = append(l.result.Estimates, Estimate{name, c.Op.Label, c.Tokens, c.Chosen, all})
	}
	l.result.Plan.Add(p)
	return nil
}

// lower runs the passes over a copy of the graph.
func (l *lowering) lower(o transform.Options) *ir.Graph {
	g := l.graph.Clone()
	pass.Run(g, transform.Passes(o), transform.Lowered, l.options.Observe)
	return g
}

// gpuPasses are those of a GPU, whose kernels take some widths and lengths only.
func (l *lowering) gpuPasses(model *cost.GPU) transform.Options {
	o := l.options.passes(*model)
	o.HeadMultiple = cuda.HeadMultiple
	pays := o.PrecomputePays
	longest := l.options.Buckets[len(l.options.Buckets)-1]
	o.PrecomputePays = func(a *ir.AttentionAttrs, k, n int) bool {
		return cuda.ValueOutputFits(model, a, longest) && pays(a, k, n)
	}
	return o
}

// passes lets the cost model decide what is not always a gain.
func (o *Options) passes(model cost.Model) transform.Options {
	return transform.Options{
		Dense: o.Dense,
		PrecomputePays: func(a *ir.AttentionAttrs, k, n int) bool {
			for _, s := range o.Buckets { // weights are shared, so it must pay in every bucket
				if !cost.PrecomputePays(a, k, n, s) {
					return false
				}
			}
			return true
		},
		LinearForm: model.Linear,
	}
}

// chooseAttention makes the buckets of a program for the CPU.
func (l *lowering) chooseAttention(m *cost.Machine, p *plan.Program, s *schedule.Schedule) {
	for _, tokens := range l.options.Buckets {
		b := plan.Bucket{MaxTokens: tokens}
		for i, op := range s.Ops {
			if !op.Kind.IsFusedAttention() {
				continue
			}
			a := op.Attrs.(*ir.AttentionAttrs)
			best := m.ChooseAttention(a, tokens)
			code, _ := codegen.Op(best.Kind)
			b.Choices = append(b.Choices, plan.Choice{Step: i, Op: code, Workspace: best.Workspace})
			l.result.Estimates = append(l.result.Estimates, Estimate{p.Target, op.Label, tokens, best, m.Attention(a, tokens)})
		}
		p.Buckets = append(p.Buckets, b)
	}
}
