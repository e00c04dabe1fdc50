package prune

import (
	"math"
	"sync"

	"etc/fault"
	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
	"etc/prune/linalg"
)

// A matrix is the weight [n,k] of one linear and what of it goes. The weight
// stays where it is, perhaps in a mapped file, and is read row by row.
type matrix struct {
	op     int // place of the linear in the graph
	name   string
	shared string // the name that products of one input share, or ""
	block  string
	n, k   int
	w      tensor.Tensor
	b      tensor.Tensor // [n]
	biased bool          // whether there is a b

	seen      *moments        // of its inputs; nil: nothing is known
	reach     *moments        // of derivatives by its outputs; nil: all count alike
	mean      []float64       // [k] E[x]
	worth     []float64       // [k] of an entry of 1, by the criterion
	counts    []float64       // [n] what the square of an output does
	constants map[int]float64 // inputs that are the same for every token
	noZeros   func() bool     // whether the weight has no zero at all

	mask
}

// A mask marks what goes. Rows that go leave their mean as a bias; of those
// that are unread the bias goes too.
type mask struct {
	rows, unread []bool // [n]
	columns      []bool // [k]
	entries      []bool // [n·k]; nil while no single entry goes
}

// newMatrix is the matrix of g.Ops[at], a plain linear, with the moments under
// the name of its weight, or the shared one.
func newMatrix(g *ir.Graph, at int, stats *Statistics, c *Criterion, shared string) (*matrix, error) {
	op := g.Ops[at]
	w, _ := op.Arg("w").Data()
	m := &matrix{op: at, name: op.Arg("w").WeightName(), shared: shared, block: op.Label, n: w.Shape[0], k: w.Shape[1], w: w, constants: map[int]float64{}}
	m.b, m.biased = op.Arg("b").Data()
	m.noZeros = sync.OnceValue(func() bool { return sparse.Survey(w).NonZeros == m.n*m.k })
	m.keepAll()
	if !stats.Empty() {
		if m.seen = stats.of(m.k, m.name, shared); m.seen == nil {
			return nil, fault.Newf(fault.Unsupported, "prune: %s: no calibration row reached weight %q [%d %d]", m.block, m.name, m.n, m.k)
		}
	}
	if c.reach && stats != nil && !stats.Reach.Empty() {
		m.reach = stats.Reach.of(m.n, m.name)
	}
	m.countOutputs()
	m.mean = m.seen.mean(m.k)
	m.worth = make([]float64, m.k)
	for j := range m.worth {
		square := 1.0
		if m.seen != nil {
			square = m.seen.gram.At(j, j) / float64(m.seen.n)
		}
		if !finite(square) {
			return nil, overflowed(m.block, m.name, j, square)
		}
		mean := m.mean[j]
		if !m.biased {
			mean = 0 // nothing can take it over
		}
		m.worth[j] = max(0, c.worth(mean, square))
	}
	return m, nil
}

func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat64 } // NaN is not

// overflowed is the error that input j of a product of a block is no number:
// nothing can be told of it. The name is that of its weight, or the block's.
func overflowed(block, name string, j int, x float64) error {
	return fault.Newf(fault.Corrupt, "prune: %s: input %d of %q became %v in calibration", block, j, name, x).
		WithHint("calibrate on other rows: with these, activations overflow")
}

// keepAll takes all marks away.
func (m *matrix) keepAll() {
	m.mask = mask{rows: make([]bool, m.n), unread: make([]bool, m.n), columns: make([]bool, m.k)}
}

// row is row i in float64.
func (m *matrix) row(i int) []float64 {
	size := m.k * m.w.DType.Size()
	return tensor.Tensor{DType: m.w.DType, Shape: []int{m.k}, Data: m.w.Data[i*size : (i+1)*size]}.Float64s()
}

// dense is the whole weight in float64.
func (m *matrix) dense() linalg.Matrix {
	w := linalg.New(m.n, m.k)
	for i := range m.n {
		copy(w.Row(i), m.row(i))
	}
	return w
}

// covariance is that of the inputs, [k,k], or their second moment where no
// bias can take over a mean.
func (m *matrix) covariance() linalg.Matrix {
	center := m.mean
	if !m.biased {
		center = make([]float64, m.k)
	}
	h := m.seen.second(center)
	for j, c := range m.constants {
		switch {
		case m.biased:
			clear(h.Row(j))
			for i := range m.k {
				h.Set(i, j, 0)
			}
		case m.seen == nil:
			h.Set(j, j, float64(c*c))
		}
	}
	return h
}

// rowEnergies are the energies of whole outputs, which count alike.
func (m *matrix) rowEnergies() []float64 {
	sums := make([]float64, m.n)
	for i := range sums {
		for _, e := range m.alone(i) {
			sums[i] += e
		}
	}
	return sums
}

func (m *matrix) columnEnergies() []float64 {
	sums := make([]float64, m.k)
	for i := range m.n {
		for j, e := range m.energies(i) {
			sums[j] += e
		}
	}
	return sums
}

// energies are what the entries of row i are worth to the model.
func (m *matrix) energies(i int) []float64 {
	e := m.alone(i)
	for j := range e {
		e[j] *= m.counts[i]
	}
	return e
}

// alone are what they are worth to output i.
func (m *matrix) alone(i int) []float64 {
	e := m.row(i)
	for j, w := range e {
		e[j] = float64(w*w) * m.worth[j]
	}
	return e
}

// zero marks entry (i,j).
func (m *matrix) zero(i, j int) {
	if m.entries == nil {
		m.entries = make([]bool, m.n*m.k)
	}
	m.entries[i*m.k+j] = true
}

// goes tells for the entries of row i whether they go, in to.
func (m *matrix) goes(i int, to []bool) {
	if m.rows[i] || m.unread[i] {
		for j := range to {
			to[j] = true
		}
		return
	}
	copy(to, m.columns)
	if m.entries != nil {
		for j, z := range m.entries[i*m.k : (i+1)*m.k] {
			to[j] = to[j] || z
		}
	}
}

// absent tells for the entries of row i whether they go or were zero before,
// in to: zeros that were there count, so no repair may fill them.
func (m *matrix) absent(i int, to []bool) {
	m.goes(i, to)
	for j, w := range m.row(i) {
		to[j] = to[j] || w == 0
	}
}

// zeros counts the entries that are zero or go.
func (m *matrix) zeros() int {
	absent := make([]bool, m.k)
	zeros := 0
	for i := range m.n {
		m.absent(i, absent)
		zeros += countTrue(absent)
	}
	return zeros
}

// constantRows marks the outputs that are their bias for every token.
func (m *matrix) constantRows() []bool { return sparse.ZeroRows(m.w) }

// bias is that of output i.
func (m *matrix) bias(i int) float64 {
	if !m.biased {
		return 0
	}
	size := m.b.DType.Size()
	return tensor.Tensor{DType: m.b.DType, Shape: []int{1}, Data: m.b.Data[i*size : (i+1)*size]}.Float64s()[0]
}

// denseBias is the whole bias in float64, or nil.
func (m *matrix) denseBias() []float64 {
	if !m.biased {
		return nil
	}
	return m.b.Float64s()
}

// knowConstant says that input j is c for every token. What it adds is a bias,
// so that the column can go without loss where there is a bias to take it.
func (m *matrix) knowConstant(j int, c float64) {
	m.mean[j], m.constants[j] = c, c
	m.worth[j] = 0
	if !m.biased {
		m.worth[j] = float64(c * c)
	}
}
