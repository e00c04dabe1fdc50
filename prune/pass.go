package prune

import (
	"etc/fault"
	"etc/prune/linalg"
)

// A Pass collects what the repair of some products of one input needs: what
// they read in the model as pruned so far, and what their outputs should be
// for the same tokens, as the dense model has it. Calibration rows go through
// both models batch by batch:
//
//	p.See(false, ...) as the pruned model computes a batch
//	p.See(true, ...) as the dense model computes the same batch
//	p.End()
type Pass struct {
	stage    []*matrix
	weights  []linalg.Matrix // of the stage, dense
	biases   [][]float64
	residual *matrix // or nil

	batch   map[seen]linalg.Matrix
	broken  error // what See met first that is no number
	batches int
	fit     sums // of most batches
	check   sums // of the others, which choose between aims
}

// seen is what a model shows: rows of a site.
type seen struct {
	dense bool
	site
}

// sums of a number of batches.
type sums struct {
	x       *moments
	targets []targetSums // by matrix of the stage
}

type targetSums struct {
	cross linalg.Matrix // [k,n] Σ x·yᵀ
	sum   []float64     // [n] Σy
}

// everyFifth batch is kept to choose an aim by.
const everyFifth = 5

func newPass(stage []*matrix, residual *matrix) *Pass {
	p := &Pass{stage: stage, residual: residual, batch: map[seen]linalg.Matrix{}}
	for _, m := range stage {
		p.weights, p.biases = append(p.weights, m.dense()), append(p.biases, m.denseBias())
	}
	p.fit, p.check = newSums(stage), newSums(stage)
	return p
}

func newSums(stage []*matrix) sums {
	s := sums{x: newMoments(stage[0].k)}
	for _, m := range stage {
		s.targets = append(s.targets, targetSums{linalg.New(m.k, m.n), make([]float64, m.n)})
	}
	return s
}

// Block is the label of the products whose inputs are wanted.
func (p *Pass) Block() string { return p.stage[0].block }

// Rows is how many inputs the products have read so far.
func (p *Pass) Rows() int { return p.fit.x.n + p.check.x.n }

// Wants tells whether inputs of that width under a name are to be shown.
func (p *Pass) Wants(name string, width int) bool {
	for _, m := range []*matrix{p.stage[0], p.residual} {
		if m != nil && m.k == width && (m.name == name || m.shared == name) {
			return true
		}
	}
	return false
}

// See shows the inputs of a product for a batch: count rows. One that is not
// finite is an error of End.
func (p *Pass) See(dense bool, name string, width, count int, row func(i int) []float32) {
	x := linalg.New(count, width)
	for i := range count {
		to := x.Row(i)
		for j, v := range row(i) {
			to[j] = float64(v)
			if !finite(to[j]) && p.broken == nil {
				p.broken = overflowed(p.Block(), name, j, to[j])
			}
		}
	}
	p.batch[seen{dense, site{name, width}}] = x
}

// of is what a model showed of the inputs of m.
func (p *Pass) of(dense bool, m *matrix) (linalg.Matrix, bool) {
	for _, name := range []string{m.name, m.shared} {
		if x, ok := p.batch[seen{dense, site{name, m.k}}]; ok {
			return x, true
		}
	}
	return linalg.Matrix{}, false
}

// End takes a batch into the sums, once both models have shown it.
func (p *Pass) End() error {
	if p.broken != nil {
		return p.broken
	}
	first := p.stage[0]
	x, ok := p.of(false, first)
	xt, ok2 := p.of(true, first)
	if !ok || !ok2 || x.Rows != xt.Rows {
		return fault.Newf(fault.Internal, "prune: %s: calibration showed %d and %d rows of %q", first.block, x.Rows, xt.Rows, first.name)
	}
	to := &p.fit
	if p.batches%everyFifth == everyFifth-1 {
		to = &p.check
	}
	p.batches++
	to.x.addAll(x)
	for i, m := range p.stage {
		y := linalg.New(x.Rows, m.n)
		linalg.AddProduct(y, 1, xt, p.weights[i], false, true)
		if p.residual != nil {
			if err := p.addResidual(y); err != nil {
				return err
			}
		}
		for r := range y.Rows {
			row := y.Row(r)
			if m.biased {
				addTo(row, p.biases[i])
			}
			addTo(to.targets[i].sum, row)
		}
		linalg.AddCross(to.targets[i].cross, x, y)
	}
	clear(p.batch)
	return nil
}

// addResidual adds what the residual stream has lost so far, so that what is
// wanted is the dense model's sum.
func (p *Pass) addResidual(y linalg.Matrix) error {
	pruned, ok := p.of(false, p.residual)
	dense, ok2 := p.of(true, p.residual)
	if !ok || !ok2 || pruned.Rows != y.Rows || dense.Rows != y.Rows {
		return fault.Newf(fault.Internal, "prune: %s: calibration did not show what %q reads", p.residual.block, p.residual.name)
	}
	for r := range y.Rows {
		row, was := y.Row(r), pruned.Row(r)
		for j, v := range dense.Row(r) {
			row[j] += v - was[j]
		}
	}
	return nil
}

// addAll counts the rows of x.
func (m *moments) addAll(x linalg.Matrix) {
	for i := range x.Rows {
		for j, v := range x.Row(i) {
			m.sum[j] += v
		}
	}
	m.n += x.Rows
	linalg.AddGram(m.gram, x)
}

// merged is fit and check together.
func (p *Pass) merged() sums {
	all := newSums(p.stage)
	for _, s := range []sums{p.fit, p.check} {
		all.x.n += s.x.n
		addTo(all.x.sum, s.x.sum)
		addMatrix(all.x.gram, s.x.gram)
		for i, t := range s.targets {
			addMatrix(all.targets[i].cross, t.cross)
			addTo(all.targets[i].sum, t.sum)
		}
	}
	return all
}

func addMatrix(to, x linalg.Matrix) {
	for i := range to.Rows {
		addTo(to.Row(i), x.Row(i))
	}
}

func addTo(to, x []float64) {
	for i, v := range x {
		to[i] += v
	}
}

// aim is that of the stage's matrix number i: the teacher's, or with the dense
// product of the same inputs.
func (s *sums) aim(i int, m *matrix) *aim {
	n := float64(s.x.n)
	a := &aim{mean: s.x.mean(m.k), want: make([]float64, m.n)}
	center := a.mean
	if !m.biased {
		center = make([]float64, m.k)
	}
	a.h = s.x.second(center)
	t := &s.targets[i]
	for j := range a.want {
		a.want[j] = t.sum[j] / n
	}
	a.g = linalg.New(m.k, m.n)
	for j := range m.k {
		if a.h.At(j, j) == 0 { // an input that does not vary says nothing of outputs
			continue
		}
		row, cross := a.g.Row(j), t.cross.Row(j)
		for c := range row {
			row[c] = cross[c] / n
			if m.biased {
				row[c] -= float64(center[j] * a.want[c])
			}
		}
	}
	return a
}
