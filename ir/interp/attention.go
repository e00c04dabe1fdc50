package interp

import (
	"math"

	"etc/fault"
	"etc/ir"
)

// A view is size columns of a matrix, from one on: a head.
type view struct {
	*Array
	from, size int
}

func (v view) at(t int) []float64 { return v.Row(t)[v.from : v.from+v.size] }

// heads is the matrices an attention operator reads, and where their heads begin.
type heads struct {
	q, k, v      *Array
	fromK, fromV int // column of the first head
	ir.AttentionAttrs
	bias *Array // [heads, 2S-1] or nil
}

// attention is softmax(Scale·q·kᵀ + bias)·v by heads.
func attention(c *call) ([]*Array, error) {
	return c.attend(heads{q: c.arg("q"), k: c.arg("k"), v: c.arg("v"),
		AttentionAttrs: *c.op.Attrs.(*ir.AttentionAttrs), bias: c.arg("bias")})
}

// fusedAttention is attention whose columns are [q heads | k heads | v heads],
// or [k heads | v heads] where q is an operand of its own.
func fusedAttention(c *call) ([]*Array, error) {
	qkv, a := c.arg("qkv"), *c.op.Attrs.(*ir.AttentionAttrs)
	h := heads{q: c.arg("q"), k: qkv, v: qkv, AttentionAttrs: a, bias: c.arg("bias")}
	if h.q == nil {
		h.q, h.fromK = qkv, a.Heads*a.D
	}
	h.fromV = h.fromK + a.Heads*a.D
	return c.attend(h)
}

// attend has one query row for each token of a row of the batch, or one for
// its first or last token only.
func (c *call) attend(h heads) ([]*Array, error) {
	batch := len(c.offsets) - 1
	queries, tokens := c.offsets[batch], c.offsets[batch]/max(batch, 1)
	if h.Rows != ir.AllRows {
		queries = batch
	}
	y := zeros(queries, h.Heads*h.Dv)
	errs := make([]error, batch)
	parallel(batch, tokens*tokens*h.Heads*(h.D+h.Dv), func(lo, hi int) {
		for b := lo; b < hi; b++ {
			errs[b] = c.attendRow(h, b, y)
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return one(y)
}

// attendRow fills the rows of y that belong to row b of the batch.
func (c *call) attendRow(h heads, b int, y *Array) error {
	start, n := c.offsets[b], c.offsets[b+1]-c.offsets[b]
	first, last, out := 0, n-1, start // positions of the queries, and the first one's row in q and y
	switch h.Rows {
	case ir.FirstRows:
		last, out = 0, b
	case ir.LastRows:
		first, out = n-1, b
	}
	for head := range h.Heads {
		v := view{h.v, h.fromV + head*h.Dv, h.Dv}
		for i := first; i <= last; i++ {
			keys := n
			if h.Causal {
				keys = i + 1
			}
			p, err := h.probabilities(head, start, keys, i, out+i-first)
			if err != nil {
				return err
			}
			dst := view{y, head * h.Dv, h.Dv}.at(out + i - first)
			for j, pj := range p {
				for e, x := range v.at(start + j) {
					dst[e] += pj * x
				}
			}
		}
	}
	return nil
}

// probabilities is the softmax, to base e or 2, over the scores of the query
// in row out of q, which stands at position i of its row, and the row's
// first keys, which begin at token from.
func (h heads) probabilities(head, from, keys, i, out int) ([]float64, error) {
	q, k := view{h.q, head * h.D, h.D}.at(out), view{h.k, h.fromK + head*h.D, h.D}
	p := make([]float64, keys)
	top := math.Inf(-1)
	for j := range p {
		p[j] = h.Scale * dot(q, k.at(from+j))
		if h.bias != nil {
			b, err := h.distance(head, j-i)
			if err != nil {
				return nil, err
			}
			p[j] += b
		}
		top = max(top, p[j])
	}
	exp := math.Exp
	if h.Exp2 {
		exp = math.Exp2
	}
	var sum float64
	for j := range p {
		p[j] = exp(p[j] - top)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return p, nil
}

// distance is the bias of a key d tokens after the query.
func (h heads) distance(head, d int) (float64, error) {
	s := (h.bias.width() + 1) / 2
	if d <= -s || d >= s {
		return 0, fault.Newf(fault.Corrupt, "bias: a key %d tokens from its query: the table ends at %d", d, s-1)
	}
	return h.bias.Row(head)[d+s-1], nil
}

// voAttention is b + Σ_h p_h·(x·M_hᵀ), where p_h is the softmax of head h of
// qk [q heads | k heads] and M_h is rows h·N to (h+1)·N of m.
func voAttention(c *call) ([]*Array, error) {
	qk, x, m, a := c.arg("qk"), c.arg("x"), c.arg("m"), *c.op.Attrs.(*ir.AttentionAttrs)
	h := heads{q: qk, k: qk, fromK: a.Heads * a.D, AttentionAttrs: a}
	h.v = c.product(x, m, nil) // [T, h·N]
	by, err := c.attend(h)
	if err != nil {
		return nil, err
	}
	y := zeros(x.rows(), a.Dv)
	b := c.arg("b")
	for t := range y.rows() {
		if b != nil {
			copy(y.Row(t), b.F)
		}
		for head := range a.Heads {
			for i, v := range (view{by[0], head * a.Dv, a.Dv}).at(t) {
				y.Row(t)[i] += v
			}
		}
	}
	return one(y)
}
