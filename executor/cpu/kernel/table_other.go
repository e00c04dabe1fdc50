//go:build !amd64

package kernel

func detect() Level { return Generic }

func (t *Table) blockRows() int           { return maxRows }
func (t *Table) blockPanels(rows int) int { return groupPanels }

func (t *Table) denseBlock(rows, panels int, x []float32, xStride int, w []float32, stepStride, panelStride int, y []float32, yStride, k int, bias, _ []float32, _ int) {
	denseGeneric(rows, panels, x, xStride, w, stepStride, panelStride, y, yStride, k, bias)
}

func (t *Table) tilesBlock(rows int, x []float32, xStride, k int, w []float32, columns []int32, rest int, y []float32, yStride int, bias []float32) {
	tilesGeneric(rows, x, xStride, w, columns, rest, y, yStride, bias)
}

func (t *Table) csrRows(vecs int, xt []float32, masks []uint64, values, sums, bias []float32, biasStep int) {
	csrGeneric(vecs, xt, masks, values, sums, bias, biasStep)
}

func (t *Table) activate(a Activation, y []float32, yStride, rows, vecs int) {
	if a != NoActivation {
		activateGeneric(a, y, yStride, rows, vecs)
	}
}

func (t *Table) softmax(p []float32, stride, rows, vecs int) { softmaxGeneric(p, stride, rows, vecs) }

func (t *Table) sumExp2(x []float32, factor, shift float32, sum *[lanes]float32) {
	sumExp2Generic(x, factor, shift, sum)
}

func (t *Table) addRows(y []float32, yStride int, r []float32, rStride, rows, vecs int, m float32) {
	addRowsGeneric(y, yStride, r, rStride, rows, vecs, m)
}

func (t *Table) scaleRows(y []float32, yStride, rows, vecs int, m float32) {
	scaleRowsGeneric(y, yStride, rows, vecs, m)
}

func (t *Table) sumLanes(x []float32, sum *[lanes]float32) { sumLanesGeneric(x, sum) }

func (t *Table) squareLanes(x []float32, mean float32, sum *[lanes]float32) {
	squareLanesGeneric(x, mean, sum)
}

func (t *Table) normalize(y, x, gamma, beta []float32, mean, scale float32) {
	normalizeGeneric(y[:len(x)], x, gamma[:len(x)], beta[:len(x)], mean, scale)
}

func (t *Table) transpose8(dst []float32, dstStride int, src []float32, srcStride, columns int) int {
	return 0
}

// Peak is 0: there is no loop of this machine's fastest instructions.
func (t *Table) Peak(n int) int { return 0 }
