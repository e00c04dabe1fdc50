package prune

// headShare is the share of heads that goes for each share of neurons. Heads
// cost more accuracy for the same weights: measured on minilm-sst2, a third of
// the neurons with three quarters of the heads beat other mixes of the same
// size (notes/facts.md).
const headShare = 0.4

// Structured removes neurons and heads together; what remains is smaller
// dense work. The default.
var Structured = Method{"structured", "feed-forward neurons and, more sparingly, heads", func(e *Edit, share float64) {
	Neurons.Pick(e, share)
	Heads.Pick(e, headShare*share)
}}
