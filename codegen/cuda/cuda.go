// Package cuda turns a scheduled graph into a GPU program: steps, weights in
// 16 bits, and the kernels that run them.
//
// A schedule and the choices of the cost model enter; the steps and buckets of
// a program leave, with kernels from the finite table in formats/plan/launch,
// which the programs of a plan share. Their source stands in the folder
// kernels; Compile makes machine code of it. No kernel is written for a model:
// sizes are arguments, so a pruned layer runs the kernels of a dense one.
package cuda

import (
	"etc/codegen"
	"etc/compiler/cost"
	"etc/compiler/schedule"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/tensor"
)

// HeadMultiple is what the widths of heads must be multiples of: attention
// kernels load 16 bytes at once.
const HeadMultiple = 8

// A Generator adds GPU programs to a plan. Its zero value is ready.
type Generator struct {
	kernels []kernel
	index   map[string]int // by entry
	packers map[tensor.DType]*packer
}

// packer is that of a storage type: targets of one graph share what it packed.
func (gen *Generator) packer(elem tensor.DType, weights *codegen.Packer) *packer {
	if gen.packers == nil {
		gen.packers = map[tensor.DType]*packer{}
	}
	w := gen.packers[elem]
	if w == nil || w.Packer != weights {
		w = &packer{Packer: weights, elem: elem, index: map[packKey]int{}}
		gen.packers[elem] = w
	}
	return w
}

// A kernel is one of the plan, with the architectures of the programs that run it.
type kernel struct {
	launch.Kernel
	sms []int
}

// A Choice is what the cost model chose for an attention step in a bucket.
type Choice struct {
	Op     *ir.Op
	Tokens int
	Chosen cost.Estimate
}

// Generate fills in p, whose target is set, what follows from the scheduled
// graph for rows of up to the lengths in buckets, and packs its weights. A
// weight that the storage type cannot hold, or a head that no kernel takes, is
// fault.Unsupported.
func (gen *Generator) Generate(g *ir.Graph, s *schedule.Schedule, p *plan.Program, model *cost.GPU, elem tensor.DType, buckets []int, weights *codegen.Packer) ([]Choice, error) {
	c := &chooser{model: model, elem: elem, storage: Storage(g, elem), longest: buckets[len(buckets)-1]}
	for _, op := range s.Ops {
		if err := c.check(op); err != nil {
			return nil, err
		}
	}
	w := gen.packer(elem, weights)
	codegen.Steps(g, s, p, w.add)
	if w.err != nil {
		return nil, w.err
	}
	for i, op := range s.Ops {
		if !op.Kind.IsFusedAttention() {
			p.Steps[i].Launches = gen.launches(c.kernels(op), model.SM)
		}
	}
	var choices []Choice
	for _, tokens := range buckets {
		b := plan.Bucket{MaxTokens: tokens}
		for i, op := range s.Ops {
			if !op.Kind.IsFusedAttention() {
				continue
			}
			chosen, kernels := c.attention(op, tokens)
			code, _ := codegen.Op(chosen.Kind)
			b.Choices = append(b.Choices, plan.Choice{Step: i, Op: code, Workspace: chosen.Workspace, Launches: gen.launches(kernels, model.SM)})
			choices = append(choices, Choice{op, tokens, chosen})
		}
		p.Buckets = append(p.Buckets, b)
	}
	return choices, nil
}

// launches are classes of kernels as a plan has them.
func (gen *Generator) launches(classes []class, sm int) []plan.Launch {
	var all []plan.Launch
	for _, c := range classes {
		l := plan.Launch{Tokens: c.rows}
		for _, k := range c.kernels {
			l.Kernels = append(l.Kernels, gen.add(k, sm))
		}
		all = append(all, l)
	}
	return all
}

// add is the index of k in the plan, to be compiled for sm.
func (gen *Generator) add(k launch.Kernel, sm int) int {
	if err := k.Check(); err != nil {
		panic("bug: codegen/cuda: " + err.Error())
	}
	if gen.index == nil {
		gen.index = map[string]int{}
	}
	entry := k.Entry()
	i, ok := gen.index[entry]
	if !ok {
		i = len(gen.kernels)
		gen.index[entry] = i
		gen.kernels = append(gen.kernels, kernel{Kernel: k})
	}
	have := gen.kernels[i].sms
	if len(have) == 0 || have[len(have)-1] != sm {
		gen.kernels[i].sms = append(have, sm)
	}
	return i
}

// check refuses what no kernel takes.
func (c *chooser) check(op *ir.Op) error {
	a, ok := op.Attrs.(*ir.AttentionAttrs)
	if !ok {
		return nil
	}
	const widest = 256
	values := a.Dv
	if op.Kind == ir.VOAttention {
		values = HeadMultiple // in a workspace, of any width
	}
	if a.D%HeadMultiple != 0 || values%HeadMultiple != 0 || a.D > widest || values > widest {
		return fault.Newf(fault.Unsupported, "%s: heads of %d queries and keys and %d values: GPU kernels take multiples of %d up to %d", op.Label, a.D, a.Dv, HeadMultiple, widest)
	}
	return nil
}
