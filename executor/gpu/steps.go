package gpu

import (
	"etc/formats/plan"
	"etc/formats/plan/layout"
)

// usedWeights are the weights that steps of p read, each once, in the order of
// steps.
func usedWeights(p *plan.Program) []int {
	seen := map[int]bool{}
	var all []int
	for i := range p.Steps {
		for _, a := range p.Steps[i].Args {
			if a.Kind == plan.FromWeight && !seen[a.Index] {
				seen[a.Index] = true
				all = append(all, a.Index)
			}
		}
	}
	return all
}

// launchesOf are those of step i for rows of bucket b: its own, or those of
// the bucket's choice.
func launchesOf(p *plan.Program, i, b int) []plan.Launch {
	for _, c := range p.Buckets[b].Choices {
		if c.Step == i {
			return c.Launches
		}
	}
	return p.Steps[i].Launches
}

// opOf is the operator of step i for rows of bucket b.
func opOf(p *plan.Program, i, b int) plan.Op {
	for _, c := range p.Buckets[b].Choices {
		if c.Step == i {
			return c.Op
		}
	}
	return p.Steps[i].Op
}

// matrixOf is the weight that a product multiplies by, nil for other operators.
func matrixOf(p *plan.Program, s *plan.Step) *plan.Weight {
	for i, name := range s.Op.Operands() {
		if name == "w" || name == "m" {
			return &p.Weights[s.Args[i].Index]
		}
	}
	return nil
}

// partsOf is where the arrays of a sparse weight begin, by the names of
// kernels' parameters, and its row stride where it has one.
func partsOf(w *plan.Weight) (parts map[string]int, stride int) {
	n, k := w.Shape[0], w.Shape[1]
	switch w.Layout {
	case plan.GPUTiles:
		return layout.GPUTileParts(n, k), 0
	case plan.GPUCSR:
		return layout.GPUCSRParts(n, int(w.Size)), 0
	case plan.GPU24:
		return layout.GPU24Parts(n, k), layout.GPU24Width(k)
	}
	return nil, 0
}

// kept is the number of elements of a matrix that a product multiplies by.
func kept(w *plan.Weight) int64 {
	n, k := w.Shape[0], w.Shape[1]
	switch w.Layout {
	case plan.GPUTiles:
		return (w.Size - int64(layout.GPUTileParts(n, k)["tiles"])) / 2
	case plan.GPUCSR:
		return (w.Size - 4*int64(n+1)) / 6
	case plan.GPU24:
		return int64(n) * int64(k) / 2
	}
	return int64(n) * int64(k)
}
