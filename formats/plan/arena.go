package plan

// StepsFor lists the steps that run when outputs are asked for, bit i for
// output i, in order.
func (p *Program) StepsFor(outputs uint64) []int {
	var steps []int
	for i := range p.Steps {
		if p.Steps[i].Needed&outputs != 0 {
			steps = append(steps, i)
		}
	}
	return steps
}

// ArenaBytes is the size of the arenas of the steps that run for outputs, in
// bytes for each token and for each row of a batch.
func (p *Program) ArenaBytes(outputs uint64) (perToken, perRow int) {
	for _, i := range p.StepsFor(outputs) {
		for _, r := range p.Steps[i].Results {
			if r == Unused {
				continue
			}
			b := p.Buffers[r]
			if b.Rows == PerToken {
				perToken = max(perToken, b.Offset+b.Stride)
			} else {
				perRow = max(perRow, b.Offset+b.Stride)
			}
		}
	}
	return perToken, perRow
}
