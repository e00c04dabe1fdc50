package prune

// neuronStep is the granularity of FFN widths: a panel of the CPU layout, so
// that every neuron that goes saves time.
const neuronStep = 16

// Neurons removes neurons of the feed-forward blocks, the same share in every
// layer: a row of W1 with its bias, and a column of W2. The score is the
// energy of that column. One panel of neurons stays.
var Neurons = Method{"neurons", "neurons of the feed-forward blocks, evenly over layers", func(e *Edit, share float64) {
	for _, f := range e.ffns {
		f.removeNeurons(portion(share, f.in.n, neuronStep, max(0, f.in.n-neuronStep)))
	}
}}

func (f *ffn) removeNeurons(count int) {
	each(f.in.n, count, f.out.columnEnergy, func(i int) {
		f.in.kill(i)
		f.out.zeroColumn(i)
	})
}
