package prune

// Heads removes whole attention heads, the same number in every layer, by
// what their columns of W_O put into the residual stream. One head stays.
var Heads = structure{"heads", "whole attention heads, evenly over layers", "obs", func(e *Edit) { e.removeHeads(1) }}

// removeHeads makes the dials of heads, at the given pace.
func (e *Edit) removeHeads(pace float64) {
	e.attentions(func(l *sublayer, a *attention) {
		order, loss := e.columns(a.o, 1, a.dv, 0)
		heads := some(a.heads)
		heads.pace = pace
		e.dials = append(e.dials, &dial{heads, "heads", l, func(rank int) { a.removeHead(order[0][rank]) }, loss})
	})
}

func (a *attention) removeHead(h int) {
	for i := h * a.d; i < (h+1)*a.d; i++ {
		a.removeScore(i)
	}
	for i := h * a.dv; i < (h+1)*a.dv; i++ {
		a.removeValue(i)
	}
}

// removeScore removes inner feature i of the scores: a row of W_Q and of W_K.
func (a *attention) removeScore(i int) { a.q.unread[i], a.k.unread[i] = true, true }

// removeValue removes inner value feature i: a row of W_V, a column of W_O.
func (a *attention) removeValue(i int) { a.v.unread[i], a.o.columns[i] = true, true }
