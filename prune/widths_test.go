package prune

import (
	"math/rand/v2"
	"testing"

	"etc/prune/linalg"
)

// momentOf is E[y·yᵀ] of rows, or with center their covariance.
func momentOf(y linalg.Matrix, center bool) linalg.Matrix {
	mean, c := make([]float64, y.Cols), linalg.New(y.Cols, y.Cols)
	for r := range y.Rows {
		for j, v := range y.Row(r) {
			if center {
				mean[j] += v / float64(y.Rows)
			}
		}
	}
	for r := range y.Rows {
		for i, v := range y.Row(r) {
			for j, u := range y.Row(r) {
				c.Set(i, j, c.At(i, j)+(v-mean[i])*(u-mean[j])/float64(y.Rows))
			}
		}
	}
	return c
}

// TestScoreProduct: its weights have the second moment of the queries, biases
// included, and its inputs the covariance of the keys, from the rows directly.
func TestScoreProduct(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 15))
	const heads, d, hidden, rows = 2, 3, 5, 150
	x := tokens(rng, rows, hidden)
	a := &attention{heads: heads, d: d, q: product(rng, heads*d, hidden, true), k: product(rng, heads*d, hidden, true)}
	a.q.see(x)
	a.k.see(x)
	queries, keys := outputsOf(a.q.dense(), a.q.denseBias(), x), outputsOf(a.k.dense(), a.k.denseBias(), x)
	for h := range heads {
		all, inHead := span(0, rows), span(h*d, d)
		second := momentOf(linalg.Select(queries, all, inHead), false)
		covariance := momentOf(linalg.Select(keys, all, inHead), true)
		w, of := a.scoreProduct(h)
		square := linalg.New(d, d)
		linalg.AddProduct(square, 1, w, w, true, false)
		for i := range d {
			for j := range d {
				if !near(square.At(i, j), second.At(i, j), 1e-8) || !near(of.At(i, j), covariance.At(i, j), 1e-8) {
					t.Errorf("head %d: (%d,%d) is %v of queries and %v of keys, want %v and %v",
						h, i, j, square.At(i, j), of.At(i, j), second.At(i, j), covariance.At(i, j))
				}
			}
		}
	}
}

// TestScoreLossIsTheMeanOverHeads: as much of the scores is lost as of those of
// a head on average.
func TestScoreLossIsTheMeanOverHeads(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 15))
	const heads, d, hidden = 3, 4, 6
	x := tokens(rng, 100, hidden)
	a := &attention{heads: heads, d: d, q: product(rng, heads*d, hidden, true), k: product(rng, heads*d, hidden, true)}
	a.q.see(x)
	a.k.see(x)
	e := &Edit{criterion: &Criteria[0], layers: []*sublayer{{attention: a}}}
	e.narrowScores()
	for r, lost := range e.dials[0].loss {
		want := 0.0
		for h := range heads {
			_, loss := newSurgery(a.scoreProduct(h)).order(1, 1, 0)
			want += loss[r] / heads
		}
		if !near(lost, want, 1e-12) {
			t.Errorf("%v is lost with %d features, want %v", lost, r, want)
		}
	}
}
