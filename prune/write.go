package prune

import (
	"bytes"
	"slices"

	"etc/ir"
	"etc/ir/tensor"
	"etc/prune/linalg"
)

// A Calibrate runs calibration rows through g, pruned so far, and through the
// dense model, and shows p what it wants.
type Calibrate func(g *ir.Graph, p *Pass) error

// write prunes g, the graph of the edit or a clone of it, to a setting,
// stage after stage in the order of the model, and says what was done. With
// calibrate each repair knows what its product reads in the model as pruned up
// to there; without, it relies on the statistics of the dense model.
func (e *Edit) write(g *ir.Graph, s Setting, calibrate Calibrate) (*Recipe, error) {
	e.turn(s)
	return e.writeMarked(g, calibrate, nil)
}

// writeMarked is write for what is marked. keep, if not nil, may know stages.
func (e *Edit) writeMarked(g *ir.Graph, calibrate Calibrate, keep keep) (*Recipe, error) {
	r := &Recipe{Schema: recipeSchema, Method: e.method, AtOnce: calibrate == nil && !e.stats.Empty()}
	zeros := 0
	for _, l := range e.layers {
		kept := l.kept()
		for i := range l.stages {
			records, err := e.keptStage(g, l, i, calibrate, keep, len(r.Matrices))
			if err != nil {
				return nil, err
			}
			for _, record := range records {
				zeros += record.Zeros
			}
			r.Matrices = append(r.Matrices, records...)
		}
		r.Layers = append(r.Layers, kept)
	}
	r.Sparsity = float64(zeros) / float64(e.entries())
	return r, nil
}

// writeStage writes stage i of a sublayer.
func (e *Edit) writeStage(g *ir.Graph, l *sublayer, i int, calibrate Calibrate) ([]Record, error) {
	stage := l.stages[i]
	var p *Pass
	if calibrate != nil && e.repairs(l, stage) {
		var residual *matrix
		if i == len(l.stages)-1 {
			residual = l.residual
		}
		p = newPass(stage, residual)
		if err := calibrate(g, p); err != nil {
			return nil, err
		}
	}
	var records []Record
	for j, m := range stage {
		records = append(records, e.writeMatrix(g.Ops[m.op], l, m, p, j))
	}
	return records, nil
}

// repairs tells whether least squares have something to do in a stage.
func (e *Edit) repairs(l *sublayer, stage []*matrix) bool {
	if e.criterion.repair != leastSquares || e.stats.Empty() {
		return false
	}
	for _, m := range stage {
		if len(m.patterns()) > 0 || slices.Contains(m.rows, true) || l.attention != nil && m == l.q && l.narrowed() {
			return true
		}
	}
	return false
}

// narrowed tells whether heads have lost some features of their scores.
func (a *attention) narrowed() bool {
	for h := range a.heads {
		n := countTrue(a.q.unread[h*a.d : (h+1)*a.d])
		if n > 0 && n < a.d {
			return true
		}
	}
	return false
}

func countTrue(marks []bool) int {
	n := 0
	for _, yes := range marks {
		if yes {
			n++
		}
	}
	return n
}

// writeMatrix replaces the weight and the bias of linear, m's own or its clone.
// p, if not nil, saw the inputs of its stage, in which it is number at.
func (e *Edit) writeMatrix(linear *ir.Op, l *sublayer, m *matrix, p *Pass, at int) Record {
	r := Record{Weight: m.name, Block: m.block, Shape: [2]int{m.n, m.k}, Mask: m.mask.encode()}
	if m.untouched() {
		return r
	}
	old, b := m.dense(), m.denseBias()
	if e.criterion.repair == leastSquares && m.seen != nil && l.attention != nil && m == l.q {
		l.mixQueries(old, b)
	}
	w := old.Clone()
	var a *aim
	switch {
	case e.criterion.repair == noRepair || m.seen == nil && len(m.constants) == 0:
	case p == nil || m.seen == nil:
		a = &aim{mean: m.mean}
		if patterns := m.patterns(); e.criterion.repair == leastSquares && m.seen != nil && len(patterns) > 0 {
			a.h = m.covariance()
			w = m.solve(old, damping, patterns, a)[0]
			r.Lambda, r.Target = damping, denseTarget
		}
	default:
		a, r.Lambda, r.Target = m.bestAim(p, at, old, b)
		if patterns := m.patterns(); len(patterns) > 0 {
			w = m.solve(old, r.Lambda, patterns, a)[0]
		}
	}
	e.store(linear, m, &r, old, w, b, a)
	return r
}

// untouched tells whether nothing goes of m, and nothing of it is zero, not even −0.
func (m *matrix) untouched() bool {
	return m.entries == nil && m.noZeros() && !slices.Contains(m.rows, true) && !slices.Contains(m.unread, true) && !slices.Contains(m.columns, true)
}

// store rounds w to the dtype of the weight, makes zeros of what goes, refits
// the bias to what is left, and counts.
func (e *Edit) store(linear *ir.Op, m *matrix, r *Record, old, w linalg.Matrix, b []float64, a *aim) {
	goes, kept := make([]bool, m.k), make([]int, m.k)
	data := bytes.Clone(m.w.Data)
	size := m.w.DType.Size()
	for i := range m.n {
		m.goes(i, goes)
		row, was := w.Row(i), m.row(i)
		changed := tensor.FromFloat64s([]int{m.k}, row).Convert(m.w.DType)
		stored := changed.Float64s() // what is less than the dtype can tell from zero is +0 too
		zeros := 0
		for j, z := range goes {
			place := data[(i*m.k+j)*size : (i*m.k+j+1)*size]
			switch {
			case z || was[j] == 0 || stored[j] == 0:
				clear(place)
			case row[j] != was[j]:
				copy(place, changed.Data[j*size:(j+1)*size])
			}
			if allZero(place) {
				zeros++
			} else {
				kept[j]++
			}
		}
		if zeros == m.k {
			r.Rows++
		}
		r.Zeros += zeros
	}
	for _, n := range kept {
		if n == 0 {
			r.Columns++
		}
	}
	rounded := tensor.Tensor{DType: m.w.DType, Shape: m.w.Shape, Data: data}
	if !bytes.Equal(data, m.w.Data) {
		setData(linear.Arg("w"), rounded)
	}
	if !m.biased {
		return
	}
	if a != nil {
		b = a.refit(old, b, linalg.Matrix{Rows: m.n, Cols: m.k, Stride: m.k, Data: rounded.Float64s()})
	}
	for i, gone := range m.unread {
		if gone {
			b[i] = 0
		}
	}
	if refitted := tensor.FromFloat64s([]int{m.n}, b).Convert(m.b.DType); !slices.Equal(b, m.denseBias()) {
		setData(linear.Arg("b"), refitted)
	}
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func setData(v *ir.Value, t tensor.Tensor) { v.Def.Attrs.(*ir.WeightAttrs).Data = t }

// lambdas are the pulls towards the old weights that are tried.
var lambdas = []float64{1e-3, 1e-2, 1e-1, 1}

// What a repair may aim at.
const (
	denseTarget   = "dense"   // the dense product of the inputs as they are now
	teacherTarget = "teacher" // the dense model's outputs for the same tokens
)

// bestAim tries both targets and all lambdas on most of the calibration rows,
// and takes what comes nearest to the dense model on the others. The aim
// returned is over all rows.
func (m *matrix) bestAim(p *Pass, at int, w linalg.Matrix, b []float64) (a *aim, lambda float64, target string) {
	whole := p.merged()
	teacher := whole.aim(at, m)
	if p.check.x.n == 0 {
		return teacher.without(), damping, denseTarget
	}
	fit, check := p.fit.aim(at, m), p.check.aim(at, m)
	aims, names := []*aim{fit.without(), fit}, []string{denseTarget, teacherTarget}
	patterns := m.patterns()
	best := 0.0
	for _, l := range lambdas {
		for i, tried := range m.solve(w, l, patterns, aims...) {
			var bias []float64
			if m.biased {
				bias = aims[i].refit(w, b, tried)
			}
			if miss := check.miss(tried, bias); target == "" || miss < best {
				best, lambda, target = miss, l, names[i]
			}
		}
	}
	if target == denseTarget {
		teacher = teacher.without()
	}
	return teacher, lambda, target
}

// without is the aim of the dense product for the same inputs.
func (a *aim) without() *aim { return &aim{h: a.h, mean: a.mean} }
