package gradient

import (
	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
)

// attention: y_i = Σ_j p_ij·v_j, p = softmax(Scale·q·kᵀ + bias) by heads. With
// dp_ij = dy_i·v_j and ds_ij = p_ij·(dp_ij − Σ_k p_ik·dp_ik),
//
//	dv_j += p_ij·dy_i,  dq_i += Scale·ds_ij·k_j,  dk_j += Scale·ds_ij·q_i
func attention(b *backward, by *interp.Array) error {
	a := b.op.Attrs.(*ir.AttentionAttrs)
	if a.Exp2 || a.Rows != ir.AllRows {
		return fault.Newf(fault.Internal, "gradient: %s: an attention that a pass has rewritten", b.op.Label)
	}
	h := &heads{AttentionAttrs: *a, q: b.arg("q"), k: b.arg("k"), v: b.arg("v"), bias: b.arg("bias"), dq: b.to("q"), dk: b.to("k"), dv: b.to("v"), by: by}
	rows := len(b.offsets) - 1
	fault.Parallel(rows*a.Heads, func(i int) { // of different rows and columns each
		r := i / a.Heads
		h.back(i%a.Heads, b.offsets[r], b.offsets[r+1]-b.offsets[r])
	})
	return nil
}

// heads is what an attention reads, and the derivatives by it.
type heads struct {
	ir.AttentionAttrs
	q, k, v, bias, dq, dk, dv, by *interp.Array
}

// columns is what a has in a row of the columns of a head of so many.
func columns(a *interp.Array, t, head, size int) []float64 {
	return a.Row(t)[head*size : (head+1)*size]
}

// back takes a head back over a row of the batch: n tokens from one on.
func (h *heads) back(head, from, n int) {
	p, dp := make([]float64, n), make([]float64, n)
	for i := range n {
		keys := n
		if h.Causal {
			keys = i + 1
		}
		p, dp := p[:keys], dp[:keys]
		q, dq := columns(h.q, from+i, head, h.D), columns(h.dq, from+i, head, h.D)
		d := columns(h.by, from+i, head, h.Dv)
		for j := range p {
			p[j] = h.Scale * dot(q, columns(h.k, from+j, head, h.D))
			if h.bias != nil { // the table of distances; interp has looked that it is long enough
				p[j] += h.bias.Row(head)[j-i+(h.bias.Shape[1]+1)/2-1]
			}
			dp[j] = dot(d, columns(h.v, from+j, head, h.Dv))
		}
		Softmax(p)
		mean := dot(p, dp)
		for j := range p {
			axpy(columns(h.dv, from+j, head, h.Dv), p[j], d)
			s := h.Scale * (p[j] * (dp[j] - mean))
			axpy(dq, s, columns(h.k, from+j, head, h.D))
			axpy(columns(h.dk, from+j, head, h.D), s, q)
		}
	}
}

// axpy is y += a·x.
func axpy(y []float64, a float64, x []float64) {
	for i, v := range x {
		y[i] += float64(a * v)
	}
}
