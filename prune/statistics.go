package prune

// Moments are the first two moments of each input of a product.
type Moments struct {
	Mean   []float64 // E[x]
	Square []float64 // E[x²]
}

// Statistics are what calibration rows tell: the moments of the inputs of
// each product, by the name of its weight, or by the label of its block where
// products of one input ran as one. The zero value knows nothing, and the
// scores are then magnitudes.
type Statistics struct {
	Tokens int // the most that any product has seen
	sums   map[site]*sums
}

// A site is the inputs of a product: a label may stand for products of other
// widths too.
type site struct {
	name  string
	width int
}

type sums struct {
	n            int
	mean, square []float64
}

// Add counts one row of inputs of the product of that weight or block.
func (s *Statistics) Add(name string, x []float32) {
	if s.sums == nil {
		s.sums = map[site]*sums{}
	}
	at := site{name, len(x)}
	t := s.sums[at]
	if t == nil {
		t = &sums{mean: make([]float64, len(x)), square: make([]float64, len(x))}
		s.sums[at] = t
	}
	t.n++
	s.Tokens = max(s.Tokens, t.n)
	for j, v := range x {
		f := float64(v)
		t.mean[j] += f
		t.square[j] += float64(f * f) // rounded, so that no machine fuses it
	}
}

// Empty reports whether nothing was seen.
func (s *Statistics) Empty() bool { return s == nil || len(s.sums) == 0 }

// of returns the moments of the k inputs of a product, under the first of the
// names that is known. Without statistics they are zero means and unit
// squares, which makes an energy a squared magnitude.
func (s *Statistics) of(k int, names ...string) (m Moments, ok bool) {
	m = Moments{make([]float64, k), make([]float64, k)}
	if s.Empty() {
		for j := range m.Square {
			m.Square[j] = 1
		}
		return m, true
	}
	for _, name := range names {
		if t := s.sums[site{name, k}]; t != nil {
			for j := range k {
				m.Mean[j] = t.mean[j] / float64(t.n)
				m.Square[j] = t.square[j] / float64(t.n)
			}
			return m, true
		}
	}
	return m, false
}
