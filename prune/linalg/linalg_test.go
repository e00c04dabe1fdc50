package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// engines are the combinations that must give the same bits.
func engines() map[string]engine {
	return map[string]engine{
		"1 thread": {best, 1}, "3 threads": {best, 3},
		"portable, 1 thread": {portable, 1}, "portable, 3 threads": {portable, 3},
	}
}

// marker lies between the rows of test matrices, where nothing may be read or
// written: a sum with it is NaN.
var marker = math.Float64frombits(0x7ff8_0000_dead_beef)

// strided is a matrix of markers whose rows do not lie side by side.
func strided(rows, cols int) Matrix {
	m := Matrix{rows, cols, cols + 3, slices.Repeat([]float64{marker}, rows*(cols+3)+5)}
	m.Data = m.Data[5:]
	return m
}

func random(rng *rand.Rand, rows, cols int) Matrix {
	m := strided(rows, cols)
	for i := range rows {
		for j := range cols {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	return m
}

// copied is m with its gaps.
func copied(m Matrix) Matrix {
	m.Data = slices.Clone(m.Data)
	return m
}

// same reports a test error unless all bits of two matrices agree, gaps too.
func same(t *testing.T, name string, got, want Matrix) {
	t.Helper()
	for i := range want.Data {
		if g, w := math.Float64bits(got.Data[i]), math.Float64bits(want.Data[i]); g != w {
			t.Errorf("%s: [%d,%d] of %d×%d is %v, want %v", name, i/want.Stride, i%want.Stride, want.Rows, want.Cols, got.Data[i], want.Data[i])
			return
		}
	}
}

// naiveProduct is what the package says of a product, written down.
func naiveProduct(c Matrix, alpha float64, a, b Matrix, transA, transB bool) {
	depth := a.Cols
	if transA {
		depth = a.Rows
	}
	for i := range c.Rows {
		for j := range c.Cols {
			s := c.At(i, j)
			for k := range depth {
				x, y := [2]int{i, k}, [2]int{k, j}
				if transA {
					x = [2]int{k, i}
				}
				if transB {
					y = [2]int{j, k}
				}
				s = math.FMA(alpha*a.At(x[0], x[1]), b.At(y[0], y[1]), s)
			}
			c.Set(i, j, s)
		}
	}
}

// sizes meet every remainder of both sides of a tile, and ends of blocks.
var sizes = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 23, 24, 25, 47, 48, 71, 73, 97}

func TestProductIsOneChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func() int { return sizes[rng.IntN(len(sizes))] }
	type shape struct{ n, k, m int }
	shapes := []shape{{75, 260, 530}, {150, 513, 70}, {6, 256, 8}, {1, 300, 1}}
	for n := range tileRows + 1 {
		for m := range tileCols + 1 {
			shapes = append(shapes, shape{n, pick(), m}, shape{n + 72, 5, m + 16})
		}
	}
	for range 60 {
		shapes = append(shapes, shape{pick(), pick(), pick()})
	}
	for i, s := range shapes {
		transA, transB := i&1 > 0, i&2 > 0
		alpha := []float64{1, -1, 0.3}[i%3]
		a, b, c := random(rng, s.n, s.k), random(rng, s.k, s.m), random(rng, s.n, s.m)
		if transA {
			a = random(rng, s.k, s.n)
		}
		if transB {
			b = random(rng, s.m, s.k)
		}
		want := copied(c)
		naiveProduct(want, alpha, a, b, transA, transB)
		for name, e := range engines() {
			got := copied(c)
			e.addProduct(got, alpha, a, b, transA, transB)
			same(t, fmt.Sprintf("%s: %v, alpha %v, transposed %v %v", name, s, alpha, transA, transB), got, want)
		}
	}
}

func TestGramIsOneChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, k := range append(sizes, 145, 600) {
		for _, n := range []int{0, 1, 7, 64, 300} {
			if k == 600 && n != 300 {
				continue
			}
			x, h := random(rng, n, k), random(rng, k, k)
			want := copied(h)
			naiveProduct(want, 1, x, x, true, false)
			copyToUpper(want)
			for name, e := range engines() {
				got := copied(h)
				e.addGram(got, x)
				same(t, fmt.Sprintf("%s: [%d,%d]", name, n, k), got, want)
			}
		}
	}
}

func copyToUpper(h Matrix) {
	for i := range h.Rows {
		for j := range i {
			h.Set(j, i, h.At(i, j))
		}
	}
}

// A product wider than a slab is several, whose triangles begin elsewhere.
func TestProductsWiderThanASlab(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	x := random(rng, 3, slabWidth+50)
	h := New(x.Cols, x.Cols)
	AddGram(h, x)
	for i := range h.Rows {
		for _, j := range []int{0, 1, i / 2, max(0, i-1), i, min(i+1, h.Cols-1), slabWidth - 1, slabWidth, h.Cols - 1} {
			s := 0.0
			for k := range x.Rows {
				s = math.FMA(x.At(k, i), x.At(k, j), s)
			}
			if h.At(i, j) != s || h.At(j, i) != s {
				t.Fatalf("H[%d,%d] is %v and %v, want %v", i, j, h.At(i, j), h.At(j, i), s)
			}
		}
	}
}

func TestAddCross(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	x, y, g := random(rng, 40, 13), random(rng, 40, 22), random(rng, 13, 22)
	want := copied(g)
	naiveProduct(want, 1, x, y, true, false)
	AddCross(g, x, y)
	same(t, "cross", g, want)
}

// definite is XᵀX + ridge·I of random x.
func definite(rng *rand.Rand, n int, ridge float64) Matrix {
	h := strided(n, n)
	for i := range n {
		clear(h.Row(i))
		h.Set(i, i, ridge)
	}
	AddGram(h, random(rng, n+5, n))
	return h
}

func naiveCholesky(a Matrix) {
	for i := range a.Rows {
		for j := range i + 1 {
			s := a.At(i, j)
			for k := range j {
				s = math.FMA(-a.At(i, k), a.At(j, k), s)
			}
			if i == j {
				a.Set(i, i, math.Sqrt(s))
			} else {
				a.Set(i, j, s/a.At(j, j))
			}
		}
		clear(a.Row(i)[i+1:])
	}
}

// orders meet the ends of what is done in one piece.
var orders = []int{0, 1, 2, 5, 6, 7, 8, 9, 23, 24, 25, 30, 47, 48, 49, 95, 191, 192, 193, 200, 217, 385, 500}

func TestCholeskyIsOneChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, n := range orders {
		a := definite(rng, n, 1)
		for i := range n { // only the lower triangle is read
			for j := i + 1; j < n; j++ {
				a.Set(i, j, marker)
			}
		}
		want := copied(a)
		naiveCholesky(want)
		for name, e := range engines() {
			got := copied(a)
			if !e.cholesky(got) {
				t.Fatalf("%s: %d: not positive definite", name, n)
			}
			same(t, fmt.Sprintf("%s: %d", name, n), got, want)
		}
	}
}

// naiveSolve is forward substitution, k ascending, and back, k descending.
func naiveSolve(l, b Matrix) {
	for j := range b.Cols {
		for i := range b.Rows {
			s := b.At(i, j)
			for k := range i {
				s = math.FMA(-l.At(i, k), b.At(k, j), s)
			}
			b.Set(i, j, s/l.At(i, i))
		}
		for i := b.Rows - 1; i >= 0; i-- {
			s := b.At(i, j)
			for k := b.Rows - 1; k > i; k-- {
				s = math.FMA(-l.At(k, i), b.At(k, j), s)
			}
			b.Set(i, j, s/l.At(i, i))
		}
	}
}

func TestSolveIsOneChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, n := range orders {
		l := definite(rng, n, 1)
		naiveCholesky(l)
		for _, m := range []int{0, 1, 8, 37} {
			b := random(rng, n, m)
			want := copied(b)
			naiveSolve(l, want)
			for name, e := range engines() {
				got := copied(b)
				e.solveCholesky(l, got)
				same(t, fmt.Sprintf("%s: %d, %d right sides", name, n, m), got, want)
			}
		}
	}
}

// L⁻¹ is forward substitution of the identity; its Gram matrix is the inverse.
func TestInverseIsOneChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, n := range orders {
		l := definite(rng, n, 1)
		naiveCholesky(l)
		x, want := New(n, n), New(n, n)
		for j := range n {
			for i := j; i < n; i++ {
				s := 0.0
				if i == j {
					s = 1
				}
				for k := j; k < i; k++ {
					s = math.FMA(-l.At(i, k), x.At(k, j), s)
				}
				x.Set(i, j, s/l.At(i, i))
			}
		}
		naiveProduct(want, 1, x, x, true, false)
		for name, e := range engines() {
			same(t, fmt.Sprintf("%s: %d", name, n), e.invertCholesky(l), want)
		}
	}
}

// residual is max |B - A·X| / (max |A|·max |X|·n).
func residual(a, x, b Matrix) float64 {
	r := b.Clone()
	naiveProduct(r, -1, a, x, false, false)
	return largest(r) / (largest(a) * largest(x) * float64(a.Rows))
}

func largest(m Matrix) (most float64) {
	for i := range m.Rows {
		for _, x := range m.Row(i) {
			most = math.Max(most, math.Abs(x))
		}
	}
	return most
}

// graded is positive definite with eigenvalues from 1 to 10^-decades.
func graded(rng *rand.Rand, n int, decades float64) Matrix {
	// Q = I - 2vvᵀ/|v|² is orthogonal, and A = Q·D·Q.
	v, norm := make([]float64, n), 0.0
	for i := range v {
		v[i] = rng.NormFloat64()
		norm += v[i] * v[i]
	}
	half, a := New(n, n), New(n, n) // √D·Q
	for i := range n {
		d := math.Pow(10, -decades/2*float64(i)/float64(n-1))
		for j := range n {
			half.Set(i, j, -2*d*v[i]*v[j]/norm)
		}
		half.Set(i, i, half.At(i, i)+d)
	}
	AddGram(a, half)
	return a
}

// However ill the condition, the residual of a Cholesky solve is small (N. J.
// Higham, "Accuracy and Stability of Numerical Algorithms", theorem 10.4).
func TestResidual(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for _, n := range []int{2, 31, 100, 250} {
		for _, decades := range []float64{0, 6, 12} {
			a := graded(rng, n, decades)
			l := a.Clone()
			if !Cholesky(l) {
				t.Fatalf("%d, condition 1e%v: not positive definite", n, decades)
			}
			b := random(rng, n, 9)
			x := copied(b)
			SolveCholesky(l, x)
			if r := residual(a, x, b); !(r < 1e-15) {
				t.Errorf("%d, condition 1e%v: residual %g", n, decades, r)
			}
			if decades > 6 {
				continue // an inverse is only as good as the condition
			}
			one := New(n, n)
			for i := range n {
				one.Set(i, i, 1)
			}
			if r := residual(a, InvertCholesky(l), one) * math.Pow(10, -decades/2); !(r < 1e-15) {
				t.Errorf("%d, condition 1e%v: residual of the inverse %g", n, decades, r)
			}
		}
	}
}

func TestCholeskyRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for _, n := range []int{1, 5, 24, 25, 200} {
		for _, at := range []int{0, n / 2, n - 1} {
			for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
				a := definite(rng, n, 1)
				a.Set(at, at, bad)
				if Cholesky(a) {
					t.Errorf("%d: %v at %d of the diagonal was taken", n, bad, at)
				}
			}
			for _, bad := range []float64{math.NaN(), math.Inf(1), 1e9} {
				a := definite(rng, n, 1)
				a.Set(at, at/2, bad)
				if at > 0 && Cholesky(a) {
					t.Errorf("%d: %v at %d,%d was taken", n, bad, at, at/2)
				}
			}
		}
	}
}

func TestSelect(t *testing.T) {
	a := Matrix{3, 2, 4, []float64{1, 2, 0, 0, 3, 4, 0, 0, 5, 6}}
	for _, c := range []struct {
		rows, cols []int
		want       Matrix
	}{
		{nil, nil, Matrix{3, 2, 2, []float64{1, 2, 3, 4, 5, 6}}},
		{[]int{2, 0, 2}, nil, Matrix{3, 2, 2, []float64{5, 6, 1, 2, 5, 6}}},
		{nil, []int{1}, Matrix{3, 1, 1, []float64{2, 4, 6}}},
		{[]int{1}, []int{1, 0}, Matrix{1, 2, 2, []float64{4, 3}}},
		{[]int{}, nil, Matrix{0, 2, 2, nil}},
	} {
		got := Select(a, c.rows, c.cols)
		if got.Rows != c.want.Rows || got.Cols != c.want.Cols || got.Stride != c.want.Stride || !slices.Equal(got.Data, c.want.Data) {
			t.Errorf("Select(a, %v, %v) = %v, want %v", c.rows, c.cols, got, c.want)
		}
	}
	b := a.Clone()
	b.Set(2, 1, 7)
	if a.At(2, 1) != 6 || b.At(2, 1) != 7 {
		t.Error("a clone shares memory, or Set sets something else")
	}
}

func TestWrongSizesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"gram":     func() { AddGram(New(3, 3), New(5, 4)) },
		"cross":    func() { AddCross(New(3, 2), New(4, 3), New(5, 2)) },
		"product":  func() { AddProduct(New(3, 3), 1, New(3, 2), New(2, 2), false, false) },
		"cholesky": func() { Cholesky(New(3, 4)) },
		"solve":    func() { SolveCholesky(New(3, 3), New(4, 1)) },
		"data":     func() { AddGram(Matrix{2, 2, 2, make([]float64, 3)}, New(1, 2)) },
		"stride":   func() { AddGram(New(2, 2), Matrix{2, 2, 1, make([]float64, 9)}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
