package prune

// neuronStep is the granularity of FFN widths: a panel of the CPU layout, so
// that every neuron that goes saves time.
const neuronStep = 16

// Neurons removes neurons of the feed-forward blocks, the same share in every
// layer: a row of W1 with its bias, and a column of W2. One panel stays.
var Neurons = structure{"neurons", "neurons of the feed-forward blocks, evenly over layers", "obs", func(e *Edit) { e.removeNeurons() }}

func (e *Edit) removeNeurons() {
	e.ffns(func(l *sublayer, f *ffn) {
		order, loss := e.columns(f.out, 1, 1, 0)
		neurons := group{units: f.in.n, step: neuronStep, most: f.in.n - neuronStep, pace: 1}
		e.dials = append(e.dials, &dial{neurons, "neurons", l, func(rank int) { f.removeNeuron(order[0][rank]) }, loss})
	})
}

func (f *ffn) removeNeuron(i int) { f.in.unread[i], f.out.columns[i] = true, true }
