package prune

// Heads removes whole attention heads, the same number in every layer. A
// head's score is the energy that its columns of W_O put into the residual
// stream. One head stays.
var Heads = Method{"heads", "whole attention heads, evenly over layers", func(e *Edit) { e.removeHeads(1) }}

// removeHeads removes them at the given pace.
func (e *Edit) removeHeads(pace float64) {
	for _, a := range e.attentions {
		scores := make([]float64, a.heads)
		for j, energy := range a.o.columnEnergies() {
			scores[j/a.dv] += energy
		}
		heads := some(a.heads)
		heads.pace = pace
		heads.rank(scores, a.removeHead)
	}
}

func (a *attention) removeHead(h int, l level) {
	for i := h * a.d; i < (h+1)*a.d; i++ {
		a.removeScore(i, l)
	}
	for i := h * a.dv; i < (h+1)*a.dv; i++ {
		a.removeValue(i, l)
	}
}

// removeScore removes inner feature i of the scores: a row of W_Q and of W_K.
func (a *attention) removeScore(i int, l level) {
	a.q.drop(i, l)
	a.k.drop(i, l)
}

// removeValue removes inner value feature i: a row of W_V, a column of W_O.
func (a *attention) removeValue(i int, l level) {
	a.v.drop(i, l)
	a.o.zeroColumn(i, l)
}
