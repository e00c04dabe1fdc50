package kernel

// An Activation is a function of one value. The numbering is that of plan.Act.
//
// Errors, against float64 for every float32 x, in units of max(1,|x|): GELU
// (with exact erf), GELUTanh and Tanh within 2.5e-7. NaN stays NaN; at ±Inf the
// limits are taken.
type Activation uint8

const (
	NoActivation Activation = iota
	GELU
	GELUTanh
	ReLU
	Tanh
)

// A Linear is what products with any layout of weights share:
//
//	Y = act(scale(X·Wᵀ + bias)) + residual
//
// X is [Rows, K], Y and Residual [Rows, N], rows a stride apart. Y overlaps
// neither X nor Residual. Bias is [N], or nil for +0. Scale multiplies the
// first Scaled outputs. Residual may be nil.
type Linear struct {
	Rows           int
	X              []float32
	XStride        int
	Y              []float32
	YStride        int
	Bias           []float32
	Scaled         int
	Scale          float32
	Activation     Activation
	Residual       []float32
	ResidualStride int
}

// An aside is where a block is written that has lanes past N, and its bias.
type aside struct {
	y    [maxRows * lanes]float32
	bias [lanes]float32
}

// biasOf is the bias of panels from p on, 16 values each.
func (l *Linear) biasOf(n, p, panels int, a *aside) []float32 {
	switch first := p * lanes; {
	case l.Bias == nil:
		return zeros[:panels*lanes]
	case first+panels*lanes <= n:
		return l.Bias[first : first+panels*lanes]
	default:
		clear(a.bias[copy(a.bias[:], l.Bias[first:n]):])
		return a.bias[:]
	}
}

// finish does what follows the product on a block while it is in cache: the
// rows from row on, whole panels from p on.
func (t *Table) finish(l *Linear, row, rows, p, panels int) {
	y := l.Y[row*l.YStride+p*lanes:]
	t.scaleAndActivate(l, y, l.YStride, rows, p, panels)
	if l.Residual != nil {
		t.addRows(y, l.YStride, l.Residual[row*l.ResidualStride+p*lanes:], l.ResidualStride, rows, panels, 1)
	}
}

// plain reports whether nothing follows the product in panels from p on.
func (l *Linear) plain(p int) bool {
	return l.Activation == NoActivation && l.Residual == nil && l.Scaled <= p*lanes
}

func (t *Table) scaleAndActivate(l *Linear, y []float32, yStride, rows, p, panels int) {
	if scaled := min(l.Scaled-p*lanes, panels*lanes); scaled > 0 {
		whole := scaled / lanes
		t.scaleRows(y, yStride, rows, whole, l.Scale)
		for r := range rows {
			for j := whole * lanes; j < scaled; j++ {
				y[r*yStride+j] *= l.Scale
			}
		}
	}
	t.activate(l.Activation, y, yStride, rows, panels)
}

// finishAside does the same for a block of one panel written aside, rows 16
// apart, and copies its valid columns to Y.
func (t *Table) finishAside(l *Linear, n, row, rows, p int, y []float32) {
	t.scaleAndActivate(l, y, lanes, rows, p, 1)
	first := p * lanes
	for r := range rows {
		at := (row+r)*l.YStride + first
		to := l.Y[at : at+min(lanes, n-first)]
		copy(to, y[r*lanes:])
		if l.Residual != nil {
			for j, v := range l.Residual[(row+r)*l.ResidualStride+first:][:len(to)] {
				to[j] += v
			}
		}
	}
}

// cut is the size of the next block where left items are cut into blocks of at
// most most, sizes differing by one at most.
func cut(left, most int) int {
	blocks := (left + most - 1) / most
	return (left + blocks - 1) / blocks
}

// rowBlocks are count blocks, as cut makes them one after another: the first larger
// of them have one item more than the others.
type rowBlocks struct{ count, each, larger int }

func cutAll(items, most int) rowBlocks {
	n := max(1, (items+most-1)/most)
	return rowBlocks{n, items / n, items % n}
}

func (b rowBlocks) size(i int) int {
	if i < b.larger {
		return b.each + 1
	}
	return b.each
}
