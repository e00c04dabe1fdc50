package prune

import (
	"etc/prune/linalg"
)

// Statistics are what calibration rows tell of the inputs of each product: how
// many there were, their sum and the sum of their outer products, in float64
// and in the order of the rows. They stand under the name of the product's
// weight, or the label of its block where products of one input ran as one.
// The size does not depend on the number of rows. The zero value knows
// nothing, and every input then counts as independent, of mean 0 and variance 1.
type Statistics struct {
	// Reach is the same of derivatives: what the model's answers would change by
	// if an output of a product did, under the name of its weight. Where it is nil
	// or does not know a product, all of its outputs count alike.
	Reach *Statistics

	sites map[site]*moments
}

// A site is the inputs of a product: a label may stand for products of other
// widths too.
type site struct {
	name  string
	width int
}

// Moments are sums over n rows x of k inputs.
type moments struct {
	n      int
	sum    []float64     // [k] Σx
	gram   linalg.Matrix // [k,k] Σx·xᵀ
	buffer linalg.Matrix // [chunk,k], once there are rows that are not in the sums yet
	held   int           // how many those are
}

// chunk is how many rows are added to the sums at once. It is part of the
// order of summation.
const chunk = 256

func newMoments(k int) *moments {
	return &moments{sum: make([]float64, k), gram: linalg.New(k, k)}
}

// add counts one row.
func (m *moments) add(x []float32) {
	if m.buffer.Rows == 0 {
		m.buffer = linalg.New(chunk, len(x))
	}
	row := m.buffer.Row(m.held)
	for j, v := range x {
		f := float64(v)
		row[j] = f
		m.sum[j] += f
	}
	m.n++
	if m.held++; m.held == chunk {
		m.flush()
	}
}

// flush takes the buffer into the sums.
func (m *moments) flush() {
	if m.held == 0 {
		return
	}
	rows := m.buffer
	rows.Rows = m.held
	linalg.AddGram(m.gram, rows)
	m.held = 0
}

// Add counts one row of inputs of the product of that weight or block.
func (s *Statistics) Add(name string, x []float32) {
	s.at(name, len(x)).add(x)
}

// AddRows counts the rows of x [r,k].
func (s *Statistics) AddRows(name string, x linalg.Matrix) {
	if x.Rows > 0 {
		s.at(name, x.Cols).addAll(x)
	}
}

// at is the moments of a site, which are there from now on.
func (s *Statistics) at(name string, width int) *moments {
	if s.sites == nil {
		s.sites = map[site]*moments{}
	}
	at := site{name, width}
	if s.sites[at] == nil {
		s.sites[at] = newMoments(width)
	}
	return s.sites[at]
}

// clone is s with a Reach of its own; the sums are the same.
func (s *Statistics) clone() *Statistics {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// Empty reports whether nothing was seen.
func (s *Statistics) Empty() bool { return s == nil || len(s.sites) == 0 }

// Tokens is the most rows that any product has seen.
func (s *Statistics) Tokens() int {
	most := 0
	if s != nil {
		for _, m := range s.sites {
			most = max(most, m.n)
		}
	}
	return most
}

// of finds the moments of k inputs under the first of the names that is known,
// or nil.
func (s *Statistics) of(k int, names ...string) *moments {
	for _, name := range names {
		if m := s.sites[site{name, k}]; m != nil {
			m.flush()
			return m
		}
	}
	return nil
}

// mean is E[x]; zeros where m is nil.
func (m *moments) mean(k int) []float64 {
	mean := make([]float64, k)
	if m != nil {
		for j, s := range m.sum {
			mean[j] = s / float64(m.n)
		}
	}
	return mean
}

// constantPart is the part of an input's mean square up to which its variance is
// what is left of rounding.
const constantPart = 1e-12

// second is E[x·xᵀ] less center·centerᵀ, [k,k]; the identity where m is nil. An
// input that does not vary has zeros.
func (m *moments) second(center []float64) linalg.Matrix {
	k := len(center)
	if m == nil {
		h := linalg.New(k, k)
		for j := range k {
			h.Set(j, j, 1)
		}
		return h
	}
	h := m.gram.Clone()
	for i := range k {
		row := h.Row(i)
		for j := range row {
			row[j] = row[j]/float64(m.n) - float64(center[i]*center[j]) // rounded, so that no machine fuses it
		}
	}
	for j := range k {
		if center[j] != 0 && h.At(j, j) <= constantPart*float64(center[j]*center[j]) {
			for i := range k {
				h.Set(i, j, 0)
				h.Set(j, i, 0)
			}
		}
	}
	return h
}
