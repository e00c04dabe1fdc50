package gpu

import (
	"etc/formats/plan"
	"etc/formats/plan/layout"
)

// stepOf is step i as rows of bucket b run it: where the bucket has a choice
// for it, the operator and the launches are the choice's.
func stepOf(p *plan.Program, i, b int) (plan.Op, []plan.Launch) {
	for _, c := range p.Buckets[b].Choices {
		if c.Step == i {
			return c.Op, c.Launches
		}
	}
	return p.Steps[i].Op, p.Steps[i].Launches
}

// rowsOf is how many rows step s computes of so many tokens in so many rows: one
// for each row where its results are per row, else one for each token.
func rowsOf(p *plan.Program, s *plan.Step, tokens, rows int) int {
	if perRow(p, s) {
		return rows
	}
	return tokens
}

// perRow reports whether what a step computes has a row for each row of the
// batch, not for each token.
func perRow(p *plan.Program, s *plan.Step) bool {
	for _, r := range s.Results {
		if r != plan.Unused {
			return p.Buffers[r].Rows == plan.PerRow
		}
	}
	return false
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
