package prune

// Heads removes whole attention heads, the same number in every layer. A
// head's score is the energy that its columns of W_O put into the residual
// stream. One head stays.
var Heads = Method{"heads", "whole attention heads, evenly over layers", func(e *Edit, share float64) {
	for _, a := range e.attentions {
		a.removeHeads(portion(share, a.heads, 1, a.heads-1))
	}
}}

func (a *attention) removeHeads(count int) {
	energy := func(h int) float64 {
		sum := 0.0
		for j := h * a.dv; j < (h+1)*a.dv; j++ {
			sum += a.o.columnEnergy(j)
		}
		return sum
	}
	each(a.heads, count, energy, a.removeHead)
}

func (a *attention) removeHead(h int) {
	for i := h * a.d; i < (h+1)*a.d; i++ {
		a.q.kill(i)
		a.k.kill(i)
	}
	for i := h * a.dv; i < (h+1)*a.dv; i++ {
		a.removeValue(i)
	}
}

// removeValue removes inner value feature i: a row of W_V, a column of W_O.
func (a *attention) removeValue(i int) {
	a.v.kill(i)
	a.o.zeroColumn(i)
}
