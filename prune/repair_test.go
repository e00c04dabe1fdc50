package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etc/ir/tensor"
	"etc/prune/linalg"
)

// tensorOf is m in float64.
func tensorOf(m linalg.Matrix, shape ...int) tensor.Tensor {
	return tensor.FromFloat64s(shape, m.Clone().Data)
}

// product is a matrix [n,k] of random weights, and a bias where it is biased,
// that nothing goes from yet.
func product(rng *rand.Rand, n, k int, biased bool) *matrix {
	m := &matrix{name: "w", n: n, k: k, w: tensorOf(normals(rng, n, k), n, k), biased: biased, constants: map[int]float64{}}
	if biased {
		m.b = tensorOf(normals(rng, 1, n), n)
	}
	m.keepAll()
	m.mean = make([]float64, k)
	m.countOutputs()
	return m
}

// tokens are rows of k mixed inputs with means.
func tokens(rng *rand.Rand, rows, k int) linalg.Matrix {
	x, mix := linalg.New(rows, k), normals(rng, k, k)
	linalg.AddProduct(x, 0.5, normals(rng, rows, k), mix, false, false)
	shift := normals(rng, 1, k).Row(0)
	for i := range rows {
		addTo(x.Row(i), shift)
	}
	return x
}

// see gives m the moments of rows.
func (m *matrix) see(x linalg.Matrix) {
	m.seen = newMoments(x.Cols)
	m.seen.addAll(x)
	m.mean = m.seen.mean(x.Cols)
}

// masked marks entries of m such that rows share the given masks in turn.
func masked(m *matrix, masks ...[]int) {
	for i := range m.n {
		for _, j := range masks[i%len(masks)] {
			m.zero(i, j)
		}
	}
}

// solvedRow is row i of the weight by the normal equations: goal is H·W₀ᵀ, or
// the cross moment that is wanted.
func solvedRow(w, h, goal linalg.Matrix, i int, stay []int, lambda float64) []float64 {
	row := make([]float64, w.Cols)
	if len(stay) == 0 {
		return row
	}
	pull := 0.0
	for j := range h.Rows {
		pull += lambda * h.At(j, j) / float64(h.Rows)
	}
	a, b := linalg.Select(h, stay, stay), linalg.Select(goal, stay, []int{i})
	for s, j := range stay {
		a.Set(s, s, a.At(s, s)+pull)
		b.Set(s, 0, b.At(s, 0)+pull*w.At(i, j))
	}
	for s, x := range gauss(a, b).Data {
		row[stay[s]] = x
	}
	return row
}

// stays are the columns of row i that do not go, and were not zero before.
func stays(m *matrix, i int) []int {
	goes := make([]bool, m.k)
	m.absent(i, goes)
	var stay []int
	for j, gone := range goes {
		if !gone {
			stay = append(stay, j)
		}
	}
	return stay
}

// goalOf is H·Wᵀ without linalg.
func goalOf(h, w linalg.Matrix) linalg.Matrix {
	g := linalg.New(h.Rows, w.Rows)
	for i := range g.Rows {
		for j := range g.Cols {
			for c := range h.Cols {
				g.Set(i, j, g.At(i, j)+h.At(i, c)*w.At(j, c))
			}
		}
	}
	return g
}

// TestSolveIsTheNormalEquation for each pattern of columns that stay: of the
// dense product, and of the outputs that a teacher wants.
func TestSolveIsTheNormalEquation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, k = 32, 7 // rows enough for three patterns
	for _, lambda := range []float64{0, 1e-3, 0.5} {
		for _, teacher := range []bool{false, true} {
			m := product(rng, n, k, true)
			masked(m, []int{0, 3}, []int{1, 2, 5, 6}, nil)
			m.columns[4] = true
			m.rows[0], m.unread[5] = true, true
			w := m.dense()
			for i := 0; i < n; i += 3 { // zeros that were there, in every row of the first pattern
				w.Set(i, 5, 0)
			}
			m.w = tensorOf(w, n, k)
			a := &aim{h: correlated(rng, k), mean: make([]float64, k)}
			goal := goalOf(a.h, w)
			if teacher {
				goal = normals(rng, k, n)
				a.g, a.want = goal, make([]float64, n)
			}
			patterns := m.patterns(false)
			if len(patterns) != 3 {
				t.Fatalf("%d patterns, want 3", len(patterns))
			}
			solved := m.solve(w, lambda, patterns, a)[0]
			for i := range n {
				want := solvedRow(w, a.h, goal, i, stays(m, i), lambda)
				for j, x := range solved.Row(i) {
					if !near(x, want[j], 1e-8) || want[j] == 0 && x != 0 {
						t.Errorf("lambda %v, teacher %v: entry (%d,%d) is %v, want %v", lambda, teacher, i, j, x, want[j])
					}
				}
			}
			if !slices.Equal(w.Data, m.dense().Data) {
				t.Error("the old weights changed")
			}
			other := &aim{h: a.h, mean: a.mean, g: normals(rng, k, n), want: make([]float64, n)}
			alone := m.solve(w, lambda, patterns, other)[0]
			for i, both := range m.solve(w, lambda, patterns, a, other) {
				if want := []linalg.Matrix{solved, alone}[i]; !slices.Equal(both.Data, want.Data) {
					t.Errorf("lambda %v: aim %d of two is solved otherwise than alone", lambda, i)
				}
			}
		}
	}
}

// TestRowsThatKeepEverythingStay, also where others are solved.
func TestRowsThatKeepEverythingStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	m := product(rng, 20, 5, true)
	masked(m, []int{2}, nil)
	w, a := m.dense(), &aim{h: correlated(rng, 5)}
	solved := m.solve(w, 0, m.patterns(false), a)[0]
	if !slices.Equal(solved.Row(1), w.Row(1)) || slices.Equal(solved.Row(0), w.Row(0)) {
		t.Errorf("rows %v and %v, were %v and %v", solved.Row(0), solved.Row(1), w.Row(0), w.Row(1))
	}
}

// TestPullKeepsWeights: the larger lambda, the nearer to the old weights,
// whatever is wanted.
func TestPullKeepsWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 2))
	const n, k = 10, 6
	m := product(rng, n, k, true)
	masked(m, []int{1, 4})
	w := m.dense()
	a := &aim{h: correlated(rng, k), g: normals(rng, k, n), want: make([]float64, n), mean: make([]float64, k)}
	last := 0.0
	for step, lambda := range []float64{0, 1e-2, 1, 1e2, 1e9} {
		far, solved := 0.0, m.solve(w, lambda, m.patterns(false), a)[0]
		for i := range n {
			for _, j := range stays(m, i) {
				far += square([]float64{solved.At(i, j) - w.At(i, j)})
			}
		}
		if step > 0 && far >= last {
			t.Errorf("lambda %v: %v from the old weights, %v with a smaller one", lambda, far, last)
		}
		last = far
	}
	if last > 1e-12 {
		t.Errorf("%v from the old weights at the largest lambda", last)
	}
}

// rowwise gives each row a mask of its own.
func rowwise(rng *rand.Rand, m *matrix, gone int) {
	for i := range m.n {
		for _, j := range rng.Perm(m.k)[:gone] {
			m.zero(i, j)
		}
	}
}

// TestSweepOfRowwiseMasks comes nearer to what is wanted than zeros with a
// bias alone, and no nearer than least squares for every row.
func TestSweepOfRowwiseMasks(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	const n, k, rows = 12, 90, 400 // more columns than a block of sweep
	x := tokens(rng, rows, k)
	m := product(rng, n, k, true)
	m.see(x)
	rowwise(rng, m, k/2)
	p := newPass([]*matrix{m}, nil)
	shown := x.Clone()
	for i := range rows {
		addTo(shown.Row(i), normals(rng, 1, k).Row(0))
	}
	show(p, false, "w", shown)
	show(p, true, "w", x)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	w, b := m.dense(), m.denseBias()
	patterns := m.patterns(false)
	if len(patterns)*rowsAPattern <= n {
		t.Fatal("few enough patterns to solve each: the test shows nothing")
	}
	judge := p.fit.aim(0, m)
	for _, a := range []*aim{judge, judge.without()} {
		miss := func(w linalg.Matrix) float64 { return judge.miss(w, a.refit(m.dense(), b, w)) }
		zeros, best := linalg.New(n, k), linalg.New(n, k)
		for i := range n {
			for _, j := range stays(m, i) {
				zeros.Set(i, j, w.At(i, j))
			}
			copy(best.Row(i), solvedRow(w, judge.h, a.goal(w), i, stays(m, i), 0))
		}
		swept := m.solve(w, 1e-3, patterns, a)[0]
		for i := range n {
			for j, gone := range swept.Row(i) {
				if !slices.Contains(stays(m, i), j) && gone != 0 {
					t.Fatalf("entry (%d,%d) is %v", i, j, gone)
				}
			}
		}
		if !(miss(swept) < miss(zeros)) {
			t.Errorf("teacher %v: swept misses by %v, zeros by %v", a.teaches(), miss(swept), miss(zeros))
		}
		if a.teaches() && miss(swept) < miss(best)-1e-6 {
			t.Errorf("swept misses by %v, the best by %v", miss(swept), miss(best))
		}
	}
}

// TestSweepAimsAtTheTeacher: where twice the outputs are wanted, weights are
// twice those for the dense product.
func TestSweepAimsAtTheTeacher(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 2))
	const n, k = 12, 20
	m := product(rng, n, k, true)
	rowwise(rng, m, k/4)
	w, a := m.dense(), &aim{h: correlated(rng, k), mean: make([]float64, k)}
	dense := m.solve(w, 0, m.patterns(false), a)[0]
	a.want, a.g = make([]float64, n), goalOf(a.h, w)
	for i := range a.g.Data {
		a.g.Data[i] *= 2
	}
	for i, x := range m.solve(w, 0, m.patterns(false), a)[0].Data {
		if !near(x, 2*dense.Data[i], 1e-6) {
			t.Fatalf("entry %d is %v, want twice %v", i, x, dense.Data[i])
		}
	}
}

// TestZerosOfBeforeGoToo: entries that were zero are swept as those that go.
func TestZerosOfBeforeGoToo(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	const n, k = 12, 20
	m := product(rng, n, k, true)
	w, before := m.dense(), make([][]int, n)
	for i := range n {
		before[i] = rng.Perm(k)[:3]
		for _, j := range before[i] {
			w.Set(i, j, 0)
		}
	}
	m.w = tensorOf(w, n, k)
	rowwise(rng, m, k/4)
	a := &aim{h: correlated(rng, k), mean: make([]float64, k)}
	swept := m.solve(w, damping, m.patterns(false), a)[0]
	for i, list := range before {
		for _, j := range list {
			m.zero(i, j)
		}
	}
	if all := m.solve(w, damping, m.patterns(false), a)[0]; !slices.Equal(swept.Data, all.Data) {
		t.Error("zeros that were there are swept otherwise than what goes")
	}
}

// TestMissIsTheMeanSquare by which outputs miss, up to a constant.
func TestMissIsTheMeanSquare(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	const n, k, rows = 3, 5, 40
	for _, biased := range []bool{false, true} {
		m := product(rng, n, k, biased)
		x, dense := rounded(tokens(rng, rows, k)), rounded(tokens(rng, rows, k))
		p := newPass([]*matrix{m}, nil)
		show(p, false, "w", x)
		show(p, true, "w", dense)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		a, want := p.fit.aim(0, m), outputsOf(m.dense(), m.denseBias(), dense)
		direct := func(w linalg.Matrix, b []float64) float64 {
			sum := 0.0
			for i, y := range outputsOf(w, b, x).Data {
				sum += square([]float64{y - want.Data[i]}) / rows
			}
			return sum
		}
		var b0, b1 []float64
		if biased {
			b0, b1 = normals(rng, 1, n).Data, normals(rng, 1, n).Data
		}
		w0, w1 := normals(rng, n, k), normals(rng, n, k)
		got, expected := a.miss(w1, b1)-a.miss(w0, b0), direct(w1, b1)-direct(w0, b0)
		if !near(got, expected, 1e-9) {
			t.Errorf("biased %v: misses differ by %v, want %v", biased, got, expected)
		}
		if !biased {
			continue
		}
		for _, from := range []*aim{a, a.without()} { // any other bias misses by more
			refit := from.refit(m.dense(), m.denseBias(), w1)
			if from.teaches() {
				for i := range refit {
					for _, step := range []float64{-0.01, 0.01} {
						other := slices.Clone(refit)
						other[i] += step
						if direct(w1, other) < direct(w1, refit) {
							t.Errorf("bias %d misses by less with %v more", i, step)
						}
					}
				}
				continue
			}
			was, now := outputsOf(m.dense(), m.denseBias(), x), outputsOf(w1, refit, x)
			for i := range n {
				before, after := 0.0, 0.0
				for r := range rows {
					before, after = before+was.At(r, i), after+now.At(r, i)
				}
				if !near(before/rows, after/rows, 1e-9) {
					t.Errorf("output %d has mean %v, had %v", i, after/rows, before/rows)
				}
			}
		}
	}
}

// TestQueriesTakeOverWhatKeysShare: feature 2 of the keys of a head is made of
// features 0 and 1, so that scores hardly change without it once the queries
// are mixed. Another head, of which nothing goes, stays.
func TestQueriesTakeOverWhatKeysShare(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	const heads, d, hidden, rows = 2, 3, 5, 200
	x := tokens(rng, rows, hidden)
	a := &attention{heads: heads, d: d, q: product(rng, heads*d, hidden, true), k: product(rng, heads*d, hidden, true)}
	keys := a.k.dense()
	for j := range hidden {
		keys.Set(2, j, 0.7*keys.At(0, j)-1.2*keys.At(1, j))
	}
	a.k.w = tensorOf(keys, heads*d, hidden)
	a.k.see(x)
	a.removeScore(2)

	scores := func(w linalg.Matrix, b []float64, features ...int) linalg.Matrix {
		q, k := outputsOf(w, b, x), outputsOf(keys, nil, x) // a key's bias is the same for all keys
		s := linalg.New(rows, rows)
		for i := range rows {
			mean := 0.0
			for j := range rows {
				for _, f := range features {
					s.Set(i, j, s.At(i, j)+q.At(i, f)*k.At(j, f))
				}
				mean += s.At(i, j) / rows
			}
			for j := range rows { // softmax does not see it
				s.Set(i, j, s.At(i, j)-mean)
			}
		}
		return s
	}
	off := func(a, b linalg.Matrix) float64 {
		sum := 0.0
		for i, v := range a.Data {
			sum += square([]float64{v - b.Data[i]})
		}
		return sum / square(b.Data)
	}
	w, b := a.q.dense(), a.q.denseBias()
	want := scores(w, b, 0, 1, 2)
	dropped := off(scores(w, b, 0, 1), want)
	a.mixQueries(w, b)
	mixed := off(scores(w, b, 0, 1), want)
	if mixed > 1e-3 || dropped < 100*mixed {
		t.Errorf("scores are off by %v, without mixing by %v", mixed, dropped)
	}
	for i := d; i < 2*d; i++ {
		if !slices.Equal(w.Row(i), a.q.row(i)) || b[i] != a.q.bias(i) {
			t.Errorf("feature %d of the other head changed", i-d)
		}
	}
}

// TestQueriesMixByTheKeys: of what goes, exactly (C_SS + λI)⁻¹·C_S, also where
// the features share only something.
func TestQueriesMixByTheKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 2))
	const d, hidden = 4, 6
	a := &attention{heads: 1, d: d, q: product(rng, d, hidden, true), k: product(rng, d, hidden, true)}
	a.k.see(tokens(rng, 50, hidden))
	a.removeScore(1)
	stay := []int{0, 2, 3}
	c := goalOf(goalOf(a.k.dense(), a.k.seen.second(a.k.mean)), a.k.dense()) // K·H·Kᵀ
	mix := gauss(ridged(linalg.Select(c, stay, stay), damping), linalg.Select(c, stay, nil))
	for s, i := range stay { // each keeps all of itself
		for t, j := range stay {
			mix.Set(s, j, 0)
			if s == t {
				mix.Set(s, i, 1)
			}
		}
	}
	w, b := a.q.dense(), a.q.denseBias()
	a.mixQueries(w, b)
	for s, i := range stay {
		for j := range hidden {
			want := 0.0
			for f := range d {
				want += mix.At(s, f) * a.q.dense().At(f, j)
			}
			if !near(w.At(i, j), want, 1e-9) {
				t.Errorf("weight (%d,%d) is %v, want %v", i, j, w.At(i, j), want)
			}
		}
		if want := dot(linalg.Select(mix, []int{s}, nil), linalg.Matrix{Rows: 1, Cols: d, Stride: d, Data: a.q.denseBias()}); !near(b[i], want, 1e-9) {
			t.Errorf("bias %d is %v, want %v", i, b[i], want)
		}
	}
}
