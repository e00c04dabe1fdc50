package prune

// Moments are the first two moments of each input of a product.
type Moments struct {
	Mean   []float64 // E[x]
	Square []float64 // E[x²]
}

// Statistics are what calibration rows tell: the moments of the inputs of
// each product, by the name of its weight. The zero value knows nothing, and
// the scores are then magnitudes.
type Statistics struct {
	Tokens int // seen by the first product
	sums   map[string]*sums
}

type sums struct {
	n            int
	mean, square []float64
}

// Add counts one row of inputs of the products with the named weights.
func (s *Statistics) Add(weight string, x []float32) {
	if s.sums == nil {
		s.sums = map[string]*sums{}
	}
	t := s.sums[weight]
	if t == nil {
		t = &sums{mean: make([]float64, len(x)), square: make([]float64, len(x))}
		s.sums[weight] = t
	}
	t.n++
	s.Tokens = max(s.Tokens, t.n)
	for j, v := range x {
		f := float64(v)
		t.mean[j] += f
		t.square[j] += f * f
	}
}

// Empty reports whether nothing was seen.
func (s *Statistics) Empty() bool { return s == nil || len(s.sums) == 0 }

// of returns the moments of the k inputs of a product: zero means and unit
// squares where nothing is known, which makes an energy a squared magnitude.
func (s *Statistics) of(weight string, k int) Moments {
	m := Moments{make([]float64, k), make([]float64, k)}
	var t *sums
	if s != nil {
		t = s.sums[weight]
	}
	if t == nil || len(t.mean) != k {
		for j := range m.Square {
			m.Square[j] = 1
		}
		return m
	}
	for j := range m.Mean {
		m.Mean[j] = t.mean[j] / float64(t.n)
		m.Square[j] = t.square[j] / float64(t.n)
	}
	return m
}
