package kernel

import (
	"unsafe"

	"etc/formats/plan/layout"

	"golang.org/x/sys/cpu"
)

func detect() Level {
	x := &cpu.X86
	switch {
	case !(x.HasAVX2 && x.HasFMA && x.HasBMI1):
		return Generic
	case !(x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ):
		return AVX2
	case !x.HasAVX512VNNI:
		return AVX512
	}
	return AVX512VNNI
}

// The methods below choose a level's kernel. They turn strides into bytes, and
// touch the last element of each operand first: a wrong size panics here.

// blockRows is the most rows of a product block.
func (t *Table) blockRows() int {
	if t.level == AVX2 {
		return 6
	}
	return maxRows
}

// blockPanels is the most panels of a product block of so many rows.
func (t *Table) blockPanels(rows int) int {
	if t.level == AVX2 && rows > 2 {
		return 1
	}
	return groupPanels
}

// denseBlock is y[rows, 16·panels] = bias + x[rows, k]·w; step i of panel p is
// the 16 values at w[p·panelStride+i·stepStride]. Step i asks for what lies at
// next[p·panelStride] and i·nextBytes bytes on, to have it in cache for a later block.
func (t *Table) denseBlock(rows, panels int, x []float32, xStride int, w []float32, stepStride, panelStride int, y []float32, yStride, k int, bias, next []float32, nextBytes int) {
	if t.level == Generic {
		denseGeneric(rows, panels, x, xStride, w, stepStride, panelStride, y, yStride, k, bias)
		return
	}
	_, _ = y[(rows-1)*yStride+panels*lanes-1], bias[panels*lanes-1]
	if k == 0 {
		x, w, next = zeros[:], zeros[:], zeros[:]
	} else {
		_, _ = x[(rows-1)*xStride+k-1], w[(panels-1)*panelStride+(k-1)*stepStride+lanes-1]
	}
	if t.level == AVX2 {
		denseAVX2(rows, panels, &x[0], 4*xStride, &w[0], 4*stepStride, 4*panelStride, &y[0], 4*yStride, k, &bias[0], &next[0], nextBytes)
	} else {
		denseAVX512(rows, panels, &x[0], 4*xStride, &w[0], 4*stepStride, 4*panelStride, &y[0], 4*yStride, k, &bias[0], &next[0], nextBytes)
	}
}

// tilesBlock is y[rows, 16] = bias + x[rows, k]·(the tiles at columns). If rest
// is not 0, only so many inputs of the last tile exist.
func (t *Table) tilesBlock(rows int, x []float32, xStride, k int, w []float32, columns []int32, rest int, y []float32, yStride int, bias []float32) {
	if t.level == Generic {
		tilesGeneric(rows, x, xStride, w, columns, rest, y, yStride, bias)
		return
	}
	if len(columns) == 0 {
		t.denseBlock(rows, 1, nil, 0, nil, 0, 0, y, yStride, 0, bias, nil, 0)
		return
	}
	_, _ = y[(rows-1)*yStride+lanes-1], bias[lanes-1]
	_, _ = x[(rows-1)*xStride+k-1], w[len(columns)*lanes*lanes-1]
	n := len(columns)
	if rest > 0 {
		n--
	}
	if t.level == AVX2 {
		tilesAVX2(rows, &x[0], 4*xStride, &w[0], &columns[0], n, rest, &y[0], 4*yStride, &bias[0])
	} else {
		tilesAVX512(rows, &x[0], 4*xStride, &w[0], &columns[0], n, rest, &y[0], 4*yStride, &bias[0])
	}
}

// csrRows adds to sums[len(masks), 16·vecs] what one stripe of inputs gives to
// as many outputs; values are as many as the masks have bits. A bias that is not
// nil is what the sums start from, biasStep apart.
func (t *Table) csrRows(vecs int, xt []float32, masks []uint64, values, sums, bias []float32, biasStep int) {
	if t.level == Generic {
		csrGeneric(vecs, xt, masks, values, sums, bias, biasStep)
		return
	}
	_, _ = xt[layout.Stripe*vecs*lanes-1], sums[len(masks)*vecs*lanes-1]
	if bias != nil {
		_ = bias[(len(masks)-1)*biasStep]
	}
	v, b := unsafe.SliceData(values), unsafe.SliceData(bias)
	if t.level == AVX2 {
		csrAVX2(vecs, &xt[0], &masks[0], v, len(masks), &sums[0], b, 4*biasStep)
	} else {
		csrAVX512(vecs, &xt[0], &masks[0], v, len(masks), &sums[0], b, 4*biasStep)
	}
}

// activate applies a in place to y[rows, 16·vecs].
func (t *Table) activate(a Activation, y []float32, yStride, rows, vecs int) {
	if a == NoActivation || rows == 0 || vecs == 0 {
		return
	}
	_ = y[(rows-1)*yStride+vecs*lanes-1]
	switch {
	case t.level == Generic:
		activateGeneric(a, y, yStride, rows, vecs)
	case t.level == AVX2:
		activateAVX2(a, &y[0], 4*yStride, rows, vecs)
	default:
		activateAVX512(a, &y[0], 4*yStride, rows, vecs)
	}
}

func activateAVX2(a Activation, y *float32, yStride, rows, vecs int) {
	switch a {
	case GELU:
		geluAVX2(y, yStride, rows, vecs)
	case GELUTanh:
		geluTanhAVX2(y, yStride, rows, vecs)
	case ReLU:
		reluAVX2(y, yStride, rows, vecs)
	case Tanh:
		tanhAVX2(y, yStride, rows, vecs)
	}
}

func activateAVX512(a Activation, y *float32, yStride, rows, vecs int) {
	switch a {
	case GELU:
		geluAVX512(y, yStride, rows, vecs)
	case GELUTanh:
		geluTanhAVX512(y, yStride, rows, vecs)
	case ReLU:
		reluAVX512(y, yStride, rows, vecs)
	case Tanh:
		tanhAVX512(y, yStride, rows, vecs)
	}
}

// softmax is p = 2^(p-max(p)) / sum in place, for each of at most maxRows rows of
// 16·vecs values, vecs > 0.
func (t *Table) softmax(p []float32, stride, rows, vecs int) {
	_ = p[(rows-1)*stride+vecs*lanes-1]
	switch t.level {
	case Generic:
		softmaxGeneric(p, stride, rows, vecs)
	case AVX2:
		softmaxAVX2(&p[0], 4*stride, rows, vecs)
	default:
		softmaxAVX512(&p[0], 4*stride, rows, vecs)
	}
}

// sumExp2 adds 2^(x·factor - shift) to sum by lanes. len(x) is a multiple of 16.
func (t *Table) sumExp2(x []float32, factor, shift float32, sum *[lanes]float32) {
	switch {
	case len(x) == 0:
	case t.level == Generic:
		sumExp2Generic(x, factor, shift, sum)
	case t.level == AVX2:
		sumExp2AVX2(&x[0], len(x)/lanes, factor, shift, &sum[0])
	default:
		sumExp2AVX512(&x[0], len(x)/lanes, factor, shift, &sum[0])
	}
}

// addRows is y += m·r for [rows, 16·vecs].
func (t *Table) addRows(y []float32, yStride int, r []float32, rStride, rows, vecs int, m float32) {
	if rows == 0 || vecs == 0 {
		return
	}
	_, _ = y[(rows-1)*yStride+vecs*lanes-1], r[(rows-1)*rStride+vecs*lanes-1]
	switch t.level {
	case Generic:
		addRowsGeneric(y, yStride, r, rStride, rows, vecs, m)
	case AVX2:
		addRowsAVX2(&y[0], 4*yStride, &r[0], 4*rStride, rows, vecs, m)
	default:
		addRowsAVX512(&y[0], 4*yStride, &r[0], 4*rStride, rows, vecs, m)
	}
}

// scaleRows is y *= m for [rows, 16·vecs].
func (t *Table) scaleRows(y []float32, yStride, rows, vecs int, m float32) {
	if rows == 0 || vecs == 0 {
		return
	}
	_ = y[(rows-1)*yStride+vecs*lanes-1]
	switch t.level {
	case Generic:
		scaleRowsGeneric(y, yStride, rows, vecs, m)
	case AVX2:
		scaleRowsAVX2(&y[0], 4*yStride, rows, vecs, m)
	default:
		scaleRowsAVX512(&y[0], 4*yStride, rows, vecs, m)
	}
}

// sumLanes adds x to sum by lanes. These three take any length: the assembly
// does the whole vectors, Go the rest, with the same operations.
func (t *Table) sumLanes(x []float32, sum *[lanes]float32) {
	if v := len(x) / lanes; v > 0 && t.level != Generic {
		if t.level == AVX2 {
			sumLanesAVX2(&x[0], v, &sum[0])
		} else {
			sumLanesAVX512(&x[0], v, &sum[0])
		}
		x = x[v*lanes:]
	}
	sumLanesGeneric(x, sum)
}

// squareLanes adds (x-mean)² to sum by lanes.
func (t *Table) squareLanes(x []float32, mean float32, sum *[lanes]float32) {
	if v := len(x) / lanes; v > 0 && t.level != Generic {
		if t.level == AVX2 {
			squareLanesAVX2(&x[0], v, mean, &sum[0])
		} else {
			squareLanesAVX512(&x[0], v, mean, &sum[0])
		}
		x = x[v*lanes:]
	}
	squareLanesGeneric(x, mean, sum)
}

// normalize is y = (x-mean)·scale·gamma + beta. y may be x.
func (t *Table) normalize(y, x, gamma, beta []float32, mean, scale float32) {
	y, gamma, beta = y[:len(x)], gamma[:len(x)], beta[:len(x)]
	v := len(x) / lanes
	if t.level == Generic {
		v = 0
	}
	switch {
	case v == 0:
	case t.level == AVX2:
		normalizeAVX2(&y[0], &x[0], &gamma[0], &beta[0], v, mean, scale)
	default:
		normalizeAVX512(&y[0], &x[0], &gamma[0], &beta[0], v, mean, scale)
	}
	normalizeGeneric(y[v*lanes:], x[v*lanes:], gamma[v*lanes:], beta[v*lanes:], mean, scale)
}

// transpose8 is dst[c·dstStride+r] = src[r·srcStride+c] for 8 rows r and as
// many of the columns as the level does at once. It returns how many.
func (t *Table) transpose8(dst []float32, dstStride int, src []float32, srcStride, columns int) int {
	n := columns / 4
	if t.level == Generic || n == 0 {
		return 0
	}
	_, _ = dst[(4*n-1)*dstStride+7], src[7*srcStride+4*n-1]
	transpose8AVX2(&dst[0], 4*dstStride, &src[0], 4*srcStride, n)
	return 4 * n
}

// Peak runs n rounds of FMAs on registers only, and returns how many
// floating-point operations they were; 0 at level Generic.
func (t *Table) Peak(n int) int {
	const sums, operations = 12, 2 // independent registers; a multiply and an add
	switch t.level {
	case Generic:
		return 0
	case AVX2:
		peakAVX2(n)
		return n * sums * lanes / 2 * operations
	}
	peakAVX512(n)
	return n * sums * lanes * operations
}
