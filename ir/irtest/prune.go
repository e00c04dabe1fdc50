package irtest

// Zeros as pruning leaves them, for RandomGraph.

// damaged is an n × k matrix with zeros of a random kind, or none.
func (b *builder) damaged(n, k int) matrix {
	m := matrix{n, k, b.numbers([]int{n, k})}
	switch b.IntN(10) {
	case 0:
		for range 1 + b.IntN(n) {
			m.block(b.IntN(n), 0, 1, k, 0)
		}
	case 1:
		for range 1 + b.IntN(k) {
			m.block(0, b.IntN(k), n, 1, 0)
		}
	case 2:
		for range 1 + b.IntN(4) {
			m.block(b.IntN(n)/tile*tile, b.IntN(k)/tile*tile, tile, tile, 0)
		}
	case 3:
		m.twoOfFour(0)
	case 4:
		for range n * k / 2 {
			m.block(b.IntN(n), b.IntN(k), 1, 1, 0)
		}
	case 5:
		if b.maybe(4) {
			m.block(0, 0, n, k, 0)
		}
	}
	return m
}

// someBias is a vector, some of it zero, or one without values where the
// model has no biases.
func (b *builder) someBias(n int) matrix {
	m := matrix{n, 1, nil}
	if !b.biases {
		return m
	}
	m.v = b.numbers([]int{n})
	if b.maybe(4) {
		m.block(b.IntN(n), 0, 1+b.IntN(n), 1, 0)
	}
	return m
}

// zero is block(…, 0) where there are values.
func (m matrix) zero(i, j, rows, cols int) {
	if m.v != nil {
		m.block(i, j, rows, cols, 0)
	}
}

type attentionWeights struct{ q, bq, k, bk, v, bv, o, bo matrix }

// attentionWeights has heads that are dead in some or all of their parts.
func (b *builder) attentionWeights(d, dv int) attentionWeights {
	w := attentionWeights{
		q: b.damaged(b.heads*d, b.hidden), bq: b.someBias(b.heads * d),
		k: b.damaged(b.heads*d, b.hidden), bk: b.someBias(b.heads * d),
		v: b.damaged(b.heads*dv, b.hidden), bv: b.someBias(b.heads * dv),
		o: b.damaged(b.hidden, b.heads*dv), bo: b.someBias(b.hidden),
	}
	for h := range b.heads {
		if !b.maybe(4) {
			continue
		}
		if b.maybe(2) {
			w.q.zero(h*d, 0, d, b.hidden)
			w.bq.zero(h*d, 0, d, 1)
		}
		if b.maybe(2) {
			w.k.zero(h*d, 0, d, b.hidden)
		}
		if b.maybe(2) {
			w.v.zero(h*dv, 0, dv, b.hidden)
		}
		if b.maybe(2) {
			w.bv.zero(h*dv, 0, dv, 1)
		}
		if b.maybe(2) {
			w.o.zero(0, h*dv, b.hidden, dv)
		}
	}
	return w
}

type ffnWeights struct{ up, bUp, down, bDown matrix }

// ffnWeights has neurons that are dead on the way in, on the way out, or both.
func (b *builder) ffnWeights(n int) ffnWeights {
	w := ffnWeights{b.damaged(n, b.hidden), b.someBias(n), b.damaged(b.hidden, n), b.someBias(b.hidden)}
	if b.maybe(2) {
		return w
	}
	for i := range n {
		switch b.IntN(5) {
		case 0:
			w.up.zero(i, 0, 1, b.hidden)
		case 1:
			w.down.zero(0, i, b.hidden, 1)
		case 2:
			w.up.zero(i, 0, 1, b.hidden)
			w.bUp.zero(i, 0, 1, 1)
			w.down.zero(0, i, b.hidden, 1)
		}
	}
	return w
}
