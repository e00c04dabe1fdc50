package eval

import "math"

// Scored is what a causal language model makes of a row. The first token of a
// row follows nothing and is not scored.
type Scored struct {
	NLL    float64 // summed over the scored tokens, in nats
	Tokens int     // scored
	Right  int     // of those, the ones that had the highest logit
}

// Windows cuts the tokens of a text into windows of size tokens without
// overlap, sharing the memory of ids. The last one may be shorter; a single
// token left over is dropped, because nothing in it would be scored.
func Windows(ids []int32, size int) [][]int32 {
	if size < 2 {
		panic("bug: windows of less than two tokens score nothing")
	}
	var windows [][]int32
	for len(ids) > 1 {
		n := min(size, len(ids))
		windows = append(windows, ids[:n:n])
		ids = ids[n:]
	}
	return windows
}

// Perplexity is e to the mean NLL of the scored tokens. Where that overflows it
// is the largest number.
func Perplexity(rows []Scored) Statistic {
	var scored []Scored
	for _, s := range rows {
		if s.Tokens > 0 {
			scored = append(scored, s)
		}
	}
	return Statistic{NamePerplexity, len(scored), func(weight []int32) float64 {
		nll, tokens := 0.0, 0.0
		for i, w := range weight {
			nll += float64(w) * scored[i].NLL
			tokens += float64(w) * float64(scored[i].Tokens)
		}
		return min(math.Exp(nll/tokens), math.MaxFloat64)
	}}
}
