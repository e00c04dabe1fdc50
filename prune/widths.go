package prune

import "etc/prune/linalg"

// Widths narrows every head by the same number of features: d, a row each of
// W_Q and W_K, and dv, a row of W_V with a column of W_O.
var Widths = structure{"widths", "inner widths of all heads", "obs", func(e *Edit) {
	e.narrowScores()
	e.narrowValues()
}}

// narrowScores makes the dials of d. By the surgeon, keys are the inputs and
// queries the weights of a product whose outputs are the scores: see
// scoreProduct. Otherwise the score of a feature is the product of the
// energies of its two sides, the size of its part of the scores. A bias of
// queries weighs keys, so it counts; one of keys adds the same to all scores
// of a query, which softmax does not see.
func (e *Edit) narrowScores() {
	e.attentions(func(l *sublayer, a *attention) {
		order := make([][]int, a.heads)
		var loss []float64
		if e.criterion.surgeon {
			for h := range a.heads {
				of, lost := newSurgery(a.scoreProduct(h)).order(1, 1, 0)
				order[h], loss = of[0], added(loss, lost, 1/float64(a.heads))
			}
		} else {
			queries, keys := a.q.rowEnergies(), a.k.rowEnergies()
			for i := range queries {
				b := a.q.bias(i)
				queries[i] = (queries[i] + b*b) * keys[i]
			}
			for h := range a.heads {
				order[h] = ascending(queries[h*a.d : (h+1)*a.d])
			}
		}
		e.dials = append(e.dials, &dial{some(a.d), "d", l, func(rank int) {
			for h := range order {
				a.removeScore(h*a.d + order[h][rank])
			}
		}, loss})
	})
}

// scoreProduct is the scores q·kᵀ of a head as a product: weights [d,d], whose
// square Wᵀ·W is the second moment of the queries, over keys of covariance
// [d,d]. Queries and keys count as independent, and what is the same for all
// keys as nothing, for softmax does not see it.
func (a *attention) scoreProduct(h int) (w, keys linalg.Matrix) {
	rows := span(h*a.d, a.d)
	keys = a.k.outputs(rows, false)
	return transposed(damped(a.q.outputs(rows, true), 0)), keys
}

// outputs is the covariance of some outputs of m, or with means their second
// moment.
func (m *matrix) outputs(rows []int, means bool) linalg.Matrix {
	w := linalg.Select(m.dense(), rows, nil)
	wh := linalg.New(len(rows), m.k)
	linalg.AddProduct(wh, 1, w, m.seen.second(m.mean), false, false)
	c := linalg.New(len(rows), len(rows))
	linalg.AddProduct(c, 1, wh, w, false, true)
	if !means {
		return c
	}
	for i, row := range rows {
		mean := m.bias(row)
		for j, x := range w.Row(i) {
			mean += float64(x * m.mean[j])
		}
		wh.Row(i)[0] = mean
	}
	for i := range rows {
		for j := range rows {
			c.Set(i, j, c.At(i, j)+float64(wh.At(i, 0)*wh.At(j, 0)))
		}
	}
	return c
}

// added is sum + part·x; sum may be nil.
func added(sum, x []float64, part float64) []float64 {
	if sum == nil {
		sum = make([]float64, len(x))
	}
	for i, v := range x {
		sum[i] += float64(v * part)
	}
	return sum
}

// narrowValues makes the dials of dv.
func (e *Edit) narrowValues() {
	e.attentions(func(l *sublayer, a *attention) {
		order, loss := e.columns(a.o, a.heads, 1, 0)
		e.dials = append(e.dials, &dial{some(a.dv), "dv", l, func(rank int) {
			for h := range order {
				a.removeValue(h*a.dv + order[h][rank])
			}
		}, loss})
	})
}
