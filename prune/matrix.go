package prune

import (
	"math"

	"etc/fault"
	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// A matrix is the weight [n,k] of one linear and the levels of its entries.
// The weight stays where it is, perhaps in a mapped file, and is read row by
// row: a model may be larger than its matrices in float64.
type matrix struct {
	op    int // place of the linear in the graph
	name  string
	block string
	n, k  int
	w     tensor.Tensor
	b     []float64 // [n]; nil: the linear has none
	in    Moments   // of its inputs

	rows, columns []level // [n], [k]: of all entries of one
	unread        []level // [n]: from there on nobody reads the output, and its bias goes too
	entries       []level // [n·k]; nil while no single entry has a level
}

// newMatrix is the matrix of g.Ops[at], a plain linear, with the moments under
// the first of the names that is known, or of the weight's own.
func newMatrix(g *ir.Graph, at int, stats *Statistics, shared string) (*matrix, error) {
	op := g.Ops[at]
	w, ok := op.Arg("w").Data()
	if !ok || w.Data == nil {
		return nil, fault.Newf(fault.Unsupported, "prune: %s: the weight of a product is computed", op.Label)
	}
	m := &matrix{op: at, name: op.Arg("w").WeightName(), block: op.Label, n: w.Shape[0], k: w.Shape[1], w: w}
	if b, ok := op.Arg("b").Data(); ok {
		m.b = b.Float64s()
	}
	m.rows, m.columns, m.unread = nevers(m.n), nevers(m.k), nevers(m.n)
	m.in, ok = stats.of(m.k, m.name, shared)
	if !ok {
		return nil, fault.Newf(fault.Unsupported, "prune: %s: no calibration row reached weight %q [%d %d]", m.block, m.name, m.n, m.k)
	}
	for j, s := range m.in.Square {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return nil, fault.Newf(fault.Corrupt, "prune: %s: input %d of weight %q became %v in calibration", m.block, j, m.name, s)
		}
	}
	return m, nil
}

func nevers(n int) []level {
	l := make([]level, n)
	for i := range l {
		l[i] = never
	}
	return l
}

// row is row i in float64.
func (m *matrix) row(i int) []float64 {
	size := m.k * m.w.DType.Size()
	return tensor.Tensor{DType: m.w.DType, Shape: []int{m.k}, Data: m.w.Data[i*size : (i+1)*size]}.Float64s()
}

// The energy of an entry is what it adds to the mean square of its output by
// itself, w²·E[x²]: Wanda's score, squared. All scores are made of energies.

// rowEnergies are the sums over rows, energies over row i.
func (m *matrix) rowEnergies() []float64 {
	sums := make([]float64, m.n)
	for i := range sums {
		for _, e := range m.energies(i) {
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

// energies are those of the entries of row i.
func (m *matrix) energies(i int) []float64 {
	e := m.row(i)
	for j, w := range e {
		e[j] = w * w * m.in.Square[j]
	}
	return e
}

// zeroRow and zeroColumn give a row or column a level. A row that goes leaves
// its mean as a bias.
func (m *matrix) zeroRow(i int, l level)    { m.rows[i] = min(m.rows[i], l) }
func (m *matrix) zeroColumn(j int, l level) { m.columns[j] = min(m.columns[j], l) }

// drop is zeroRow for an output that nobody reads from then on.
func (m *matrix) drop(i int, l level) { m.unread[i] = min(m.unread[i], l) }

// zero gives entry (i,j) a level of its own.
func (m *matrix) zero(i, j int, l level) {
	if m.entries == nil {
		m.entries = nevers(m.n * m.k)
	}
	m.entries[i*m.k+j] = min(m.entries[i*m.k+j], l)
}

// levelsOf are the levels of the entries of row i.
func (m *matrix) levelsOf(i int) []level {
	of := make([]level, m.k)
	row := min(m.rows[i], m.unread[i])
	for j, c := range m.columns {
		of[j] = min(row, c)
	}
	if m.entries != nil {
		for j, l := range m.entries[i*m.k : (i+1)*m.k] {
			of[j] = min(of[j], l)
		}
	}
	return of
}

// constantRows marks the outputs that are their bias for every token.
func (m *matrix) constantRows() []bool { return sparse.ZeroRows(m.w) }

// bias is that of output i.
func (m *matrix) bias(i int) float64 {
	if m.b == nil {
		return 0
	}
	return m.b[i]
}

// knowConstant says that input j is c for every token. What it adds is a bias,
// so that the column can go without loss where there is a bias to take it.
func (m *matrix) knowConstant(j int, c float64) {
	m.in.Mean[j], m.in.Square[j] = c, c*c
	if m.b != nil {
		m.in.Square[j] = 0
	}
}
