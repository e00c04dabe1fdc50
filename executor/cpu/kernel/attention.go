package kernel

import "math"

// An Attention is one head of one row of tokens:
//
//	Out = softmax₂(Scale·Q·Kᵀ + BiasScale·bias)·V
//
// with softmax to base 2: 2^s / Σ2^s. So Scale is the model's factor times
// log₂ e, or 1 where q carries that already; BiasScale is log₂ e, or 1.
//
// Q is [NQ, D], K [NK, D], V [NK, DV], Out [NQ, DV], each with its stride; all
// dimensions are at least 1. Query i stands at position Positions[i] of the
// row, or First+i where Positions is nil; key j at position j. A causal query
// sees keys up to its own position. Bias, if not nil, is [2S-1] with entry
// S-1 + key - query, and S is above all positions.
//
// A query's result does not depend on the other queries of the call.
type Attention struct {
	NQ, NK, D, DV int

	Q, K, V, Out                         []float32
	QStride, KStride, VStride, OutStride int

	Scale     float32
	Causal    bool
	First     int
	Positions []int32
	Bias      []float32
	BiasScale float32
}

// attentionScratch is the caller's memory, cut up.
type attentionScratch struct {
	keys   []float32 // K in panels of 16 keys, k-major
	values []float32 // the last columns of V where DV is no multiple of 16
	q      []float32 // [maxRows, D], scaled
	scores []float32 // [maxRows, stride]
	stride int
	out    []float32 // [maxRows, 16] for the last columns
}

// scoreStride keeps rows of scores apart by no multiple of 4 KiB, which would
// make them share the same few places of the first-level cache.
func scoreStride(keys int) int { return vectors(keys)*lanes + lanes }

// AttentionScratch is the number of float32 that Attention needs for rows of
// up to maxKeys keys.
func AttentionScratch(maxKeys, d, dv int) int {
	n := vectors(maxKeys)*lanes*d + maxRows*(d+scoreStride(maxKeys))
	if dv%lanes != 0 {
		n += maxKeys*lanes + maxRows*lanes
	}
	return n
}

func (a *Attention) cutScratch(scratch []float32) attentionScratch {
	take := func(n int) []float32 {
		s := scratch[:n:n]
		scratch = scratch[n:]
		return s
	}
	s := attentionScratch{stride: scoreStride(a.NK)}
	s.keys = take(vectors(a.NK) * lanes * a.D)
	s.q = take(maxRows * a.D)
	s.scores = take(maxRows * s.stride)
	if a.DV%lanes != 0 {
		s.values = take(a.NK * lanes)
		s.out = take(maxRows * lanes)
	}
	return s
}

// Attention computes a. Blocks of up to 8 queries keep their whole rows of
// scores in the first-level cache, between two products and a softmax.
func (t *Table) Attention(a *Attention, scratch []float32) {
	s := a.cutScratch(scratch)
	for j := 0; j < a.NK; j += lanes {
		t.transpose(s.keys[j*a.D:], lanes, a.K[j*a.KStride:], a.KStride, min(lanes, a.NK-j), a.D)
	}
	if tail := a.DV % lanes; tail != 0 {
		for j := range a.NK {
			copy(s.values[j*lanes:], a.V[j*a.VStride+a.DV-tail:][:tail])
		}
	}
	for first := 0; first < a.NQ; {
		n := cut(a.NQ-first, t.blockRows())
		t.attend(a, s, first, n)
		first += n
	}
}

func (a *Attention) position(query int) int {
	if a.Positions != nil {
		return int(a.Positions[query])
	}
	return a.First + query
}

// keysOf is the number of keys that a query sees.
func (a *Attention) keysOf(query int) int {
	if a.Causal {
		return min(a.NK, a.position(query)+1)
	}
	return a.NK
}

// attend computes n queries from first on.
func (t *Table) attend(a *Attention, s attentionScratch, first, n int) {
	fewest, most := a.NK, 0
	for i := first; i < first+n; i++ {
		keys := a.keysOf(i)
		fewest, most = min(fewest, keys), max(most, keys)
	}
	t.scores(a, s, first, n, most)
	for i := range n {
		t.prepareQuery(a, s.scores[i*s.stride:][:vectors(most)*lanes], first+i)
	}
	t.softmax(s.scores, s.stride, n, vectors(most))
	whole := a.DV / lanes
	t.weigh(a, s, first, n, fewest, a.V, a.VStride, whole, a.Out[first*a.OutStride:], a.OutStride)
	if tail := a.DV % lanes; tail != 0 {
		t.weigh(a, s, first, n, fewest, s.values, lanes, 1, s.out, lanes)
		for i := range n {
			copy(a.Out[(first+i)*a.OutStride+whole*lanes:][:tail], s.out[i*lanes:])
		}
	}
}

// scores computes the scores of n queries with the first keys, or a few more.
func (t *Table) scores(a *Attention, s attentionScratch, first, n, keys int) {
	q, stride := a.Q[first*a.QStride:], a.QStride
	if a.Scale != 1 {
		for i := range n {
			row := s.q[i*a.D : (i+1)*a.D]
			copy(row, q[i*stride:])
			t.Scale(row, a.Scale)
		}
		q, stride = s.q, a.D
	}
	t.denseGroups(n, vectors(keys), q, stride, s.keys, lanes, a.D*lanes, s.scores, s.stride, a.D)
}

// denseGroups is denseBlock without bias for any number of panels.
func (t *Table) denseGroups(rows, panels int, x []float32, xStride int, w []float32, stepStride, panelStride int, y []float32, yStride, k int) {
	for p := 0; p < panels; {
		group := min(t.blockPanels(rows), panels-p)
		own := w[p*panelStride:]
		t.denseBlock(rows, group, x, xStride, own, stepStride, panelStride, y[p*lanes:], yStride, k, zeros[:], own, 4*stepStride)
		p += group
	}
}

// prepareQuery adds the bias to one query's scores, and makes those past its
// keys such that softmax gives 0.
func (t *Table) prepareQuery(a *Attention, scores []float32, query int) {
	keys := a.keysOf(query)
	if a.Bias != nil {
		first := (len(a.Bias)-1)/2 - a.position(query)
		bias := a.Bias[first : first+keys]
		whole := keys / lanes
		t.addRows(scores, 0, bias, 0, 1, whole, a.BiasScale)
		t.addTail(scores[whole*lanes:keys], bias[whole*lanes:], a.BiasScale)
	}
	for i := keys; i < len(scores); i++ {
		scores[i] = float32(math.Inf(-1))
	}
}

// addTail is y += m·r for fewer than 16 values.
func (t *Table) addTail(y, r []float32, m float32) {
	var a, b [lanes]float32
	n := copy(a[:], y)
	copy(b[:], r)
	t.addRows(a[:], 0, b[:], 0, 1, 1, m)
	copy(y, a[:n])
}

// weigh is out[n, 16·panels] = p·v. The queries go together over the keys that
// all of them see, then each by itself over the rest of its own, continuing
// from what it has: a sum never meets a key that its query does not see.
func (t *Table) weigh(a *Attention, s attentionScratch, first, n, fewest int, v []float32, vStride, panels int, out []float32, outStride int) {
	t.denseGroups(n, panels, s.scores, s.stride, v, vStride, lanes, out, outStride, fewest)
	for i := range n {
		keys := a.keysOf(first + i)
		if keys == fewest {
			continue
		}
		p := s.scores[i*s.stride+fewest:]
		for j := 0; j < panels*lanes; j += lanes {
			y := out[i*outStride+j:]
			own := v[fewest*vStride+j:]
			t.denseBlock(1, 1, p, 0, own, vStride, lanes, y, 0, keys-fewest, y, own, 4*vStride)
		}
	}
}
