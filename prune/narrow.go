package prune

// Narrow removes the same share of the neurons of feed-forward blocks and of
// the inner widths of heads: every layer keeps all its heads, each narrower.
var Narrow = structure{"narrow", "feed-forward neurons and inner widths of heads, evenly", "obs", func(e *Edit) {
	e.removeNeurons()
	e.narrowScores()
	e.narrowValues()
}}
