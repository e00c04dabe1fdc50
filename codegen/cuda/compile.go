package cuda

import (
	"slices"

	"etc/codegen/cuda/kernels"
	"etc/codegen/cuda/nvrtc"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// A Compiler makes code of CUDA source: package nvrtc has one.
type Compiler interface {
	// Version is that of the compiler, which the bytes of its code depend on.
	Version() string
	// Compile compiles each of the jobs; results are in their order.
	Compile(jobs []nvrtc.Job) ([]nvrtc.Code, error)
}

// Finish gives the plan the kernels of its programs: the source of each,
// machine code for every architecture that runs it, and PTX for the lowest.
// Without a compiler it gives sources only.
func (gen *Generator) Finish(p *plan.Plan, c Compiler) error {
	var jobs []nvrtc.Job
	lowest := 0
	for _, k := range gen.kernels {
		if sm := slices.Min(k.sms); lowest == 0 || sm < lowest {
			lowest = sm
		}
	}
	for _, k := range gen.kernels {
		source, err := kernels.Source(k.Kernel)
		if err != nil {
			panic("bug: codegen/cuda: " + err.Error())
		}
		for _, sm := range k.sms {
			jobs = append(jobs, nvrtc.Job{Name: k.Entry(), Source: source, SM: sm})
		}
		jobs = append(jobs, nvrtc.Job{Name: k.Entry(), Source: source, SM: lowest, PTX: true})
	}
	var code []nvrtc.Code
	if c != nil && len(jobs) > 0 {
		var err error
		if code, err = c.Compile(jobs); err != nil {
			return err
		}
	}
	for _, k := range gen.kernels {
		n := len(k.sms) + 1
		p.Kernels = append(p.Kernels, gen.kernel(p, k, jobs[:n], take(&code, n)))
		jobs = jobs[n:]
	}
	return nil
}

// take is the first n of what is left, none where nothing was compiled.
func take(code *[]nvrtc.Code, n int) []nvrtc.Code {
	if len(*code) == 0 {
		return nil
	}
	first := (*code)[:n]
	*code = (*code)[n:]
	return first
}

// kernel puts the source and code of k behind what the plan has.
func (gen *Generator) kernel(p *plan.Plan, k kernel, jobs []nvrtc.Job, code []nvrtc.Code) plan.Kernel {
	put := func(b []byte) plan.Span {
		s := plan.Span{Offset: len(p.Code), Size: len(b)}
		p.Code = append(p.Code, b...)
		for len(p.Code)%codeAlign != 0 {
			p.Code = append(p.Code, 0)
		}
		return s
	}
	out := plan.Kernel{Kernel: k.Kernel, Threads: k.Threads(), Shared: k.Shared(), Source: put([]byte(jobs[0].Source))}
	type made struct {
		nvrtc.Job
		nvrtc.Code
	}
	var all []made
	for i := range code {
		all = append(all, made{jobs[i], code[i]})
	}
	slices.SortStableFunc(all, func(a, b made) int { // by architecture, machine code before PTX
		if a.SM != b.SM {
			return a.SM - b.SM
		}
		return flag(a.PTX) - flag(b.PTX)
	})
	for _, m := range all {
		image := plan.Image{SM: m.SM, PTX: m.PTX, Code: put(m.Bytes)}
		if !m.PTX {
			image.Registers, image.Spills, image.StaticShared = m.Registers, m.Spills, m.StaticShared
			image.Blocks = launch.Occupancy(m.SM, m.Registers, k.Threads(), m.StaticShared+k.Shared())
		}
		out.Images = append(out.Images, image)
	}
	return out
}

// codeAlign is the alignment of parts of a plan's code.
const codeAlign = 64
