package prune

// neuronStep is the granularity of FFN widths: a panel of the CPU layout, so
// that every neuron that goes saves time.
const neuronStep = 16

// Neurons removes neurons of the feed-forward blocks, the same share in every
// layer: a row of W1 with its bias, and a column of W2. The score is the
// energy of that column. One panel of neurons stays.
var Neurons = Method{"neurons", "neurons of the feed-forward blocks, evenly over layers", func(e *Edit) {
	for _, f := range e.ffns {
		f.removeNeurons()
	}
}}

func (f *ffn) removeNeurons() {
	neurons := group{units: f.in.n, step: neuronStep, most: f.in.n - neuronStep, pace: 1}
	neurons.rank(f.out.columnEnergies(), func(i int, l level) {
		f.in.drop(i, l)
		f.out.zeroColumn(i, l)
	})
}
