package plan

import (
	"fmt"
	"slices"
)

// SM is the architecture of GPUs that a target is for, 80 or 90; 0 for the
// CPU, and for a target that is not known.
func SM(target string) int {
	if t := targets[target]; t != nil {
		return t.sm
	}
	return 0
}

// UsedWeights are the weights that steps of p read, each once, in the order of
// steps.
func (p *Program) UsedWeights() []int {
	seen := make([]bool, len(p.Weights))
	var used []int
	for i := range p.Steps {
		for _, a := range p.Steps[i].Args {
			if a.Kind == FromWeight && !seen[a.Index] {
				seen[a.Index] = true
				used = append(used, a.Index)
			}
		}
	}
	return used
}

// UsedKernels are the kernels of the plan that steps of p run, ascending.
func (p *Program) UsedKernels() []int {
	var used []int
	for i := range p.Steps {
		for _, l := range p.Steps[i].Launches {
			used = append(used, l.Kernels...)
		}
	}
	for _, b := range p.Buckets {
		for _, c := range b.Choices {
			for _, l := range c.Launches {
				used = append(used, l.Kernels...)
			}
		}
	}
	slices.Sort(used)
	return slices.Compact(used)
}

// String names an image as compilers do: sm_80 for a cubin, compute_80 for PTX.
func (m *Image) String() string {
	if m.PTX {
		return fmt.Sprintf("compute_%d", m.SM)
	}
	return fmt.Sprintf("sm_%d", m.SM)
}

// IsSparse reports whether weights of layout l hold only what is kept.
func (l Layout) IsSparse() bool {
	switch l {
	case Tiles, CSR, NM24, GPUTiles, GPUCSR, GPU24, IntTiles:
		return true
	}
	return false
}
