package prune

import (
	"errors"
	"math"
	"slices"

	"etc/ir"
	"etc/prune/linalg"
)

// A way is how a stage is repaired. Recipes name it.
type way string

const (
	atOnce    way = "at once" // by what its products read in the dense model
	toDense   way = "dense"   // by what they read by now, towards the dense product of that
	toTeacher way = "teacher" // by the same, towards the dense model's outputs for these tokens
	toWhole   way = "whole"   // towards the same, and rows that lose nothing take part
)

// ways are those of a rebuilding, in the order in which they are tried.
var ways = []way{toDense, toTeacher, toWhole}

// A Rebuild is what it takes to write a model anew, each stage on top of what is
// already pruned.
type Rebuild struct {
	Calibrate Calibrate
	// Damage is how far the outputs of a graph are from the dense model's. It
	// chooses between ways: what is nearest by itself may not be where it counts.
	Damage func(g *ir.Graph) (float64, error)
	// Stop tells, before a stage, whether it and those after it stay as they are for
	// want of time; nil: none does.
	Stop func() bool
}

// errNoTime is why a stage is not rebuilt.
var errNoTime = errors.New("no time for another stage")

// A writer prunes g, the graph of the edit or a clone of it, to what is marked.
type writer struct {
	*Edit
	g       *ir.Graph
	rebuild *Rebuild // nil: all is written at once
	ways    []way    // of all stages, where a recipe says it; nil: Damage chooses
	keep    keep     // nil: nothing is known
	once    *float64 // damage of what is written at once, where it is known
	damage  float64  // of g as it stands
	stages  int      // that were rebuilt
	cut     bool     // before all were
}

// write writes all stages at once, by the statistics of the dense model; then,
// with rebuild, one after another in the order of the model: as each way has it
// that there is, and as it does least damage together with all the others.
func (w *writer) write() (*Recipe, error) {
	r := &Recipe{Schema: recipeSchema, Method: w.method}
	for _, l := range w.layers {
		for _, stage := range l.stages {
			for _, m := range stage {
				r.Matrices = append(r.Matrices, w.writeMatrix(w.g.Ops[m.op], l, m, nil))
			}
		}
		r.Layers = append(r.Layers, l.kept())
	}
	if w.rebuild != nil && w.criterion.repair == leastSquares && !w.stats.Empty() {
		if err := w.again(r); err != nil {
			return nil, err
		}
	}
	zeros := 0
	for _, m := range r.Matrices {
		zeros += m.Zeros
	}
	r.Sparsity = float64(zeros) / float64(w.entries())
	return r, nil
}

// again rebuilds the stages from the first on that loses something. Those of
// which nothing goes make up for what went before them.
func (w *writer) again(r *Recipe) (err error) {
	switch {
	case w.once != nil:
		w.damage = *w.once
	case w.ways == nil:
		if w.damage, err = w.look(); err != nil {
			return err
		}
	}
	first, number, touched := 0, 0, false
	for _, l := range w.layers {
		for i, stage := range l.stages {
			touched = touched || slices.ContainsFunc(stage, func(m *matrix) bool { return !m.untouched() })
			if tried := w.waysOf(l, stage, number); touched && len(tried) > 0 {
				records := r.Matrices[first : first+len(stage)]
				s, err := w.known(stage, first, func() (*stageWritten, error) {
					if w.rebuild.Stop != nil && w.rebuild.Stop() {
						return nil, errNoTime
					}
					return w.choose(l, i, tried, records)
				})
				if errors.Is(err, errNoTime) {
					w.cut = true
					return nil
				}
				if err != nil {
					return err
				}
				w.stages++
				s.put(w.g, stage)
				copy(records, s.Records)
				w.damage = s.Damage
			}
			first, number = first+len(stage), number+1
		}
	}
	return nil
}

// waysOf are the ways to try for a stage, but for at once.
func (w *writer) waysOf(l *sublayer, stage []*matrix, number int) []way {
	if w.ways != nil {
		return slices.DeleteFunc(slices.Clone(w.ways[number:number+1]), func(given way) bool { return given == atOnce })
	}
	switch {
	case !slices.ContainsFunc(stage, func(m *matrix) bool { return countTrue(m.rows) < m.n }):
		return nil
	case !w.repairs(l, stage):
		return []way{toWhole}
	}
	return ways
}

// choose writes stage i of a sublayer in some ways, and returns what does least
// damage; that may be what stands there, with its records. The one way of a recipe needs no damage.
func (w *writer) choose(l *sublayer, i int, tried []way, records []Record) (*stageWritten, error) {
	stage := l.stages[i]
	p := newPass(stage, nil)
	if i == len(l.stages)-1 {
		p.residual = l.residual
	}
	for j, m := range stage {
		p.weights[j], p.biases[j] = w.unpruned(l, m)
	}
	if err := w.rebuild.Calibrate(w.g, p); err != nil {
		return nil, err
	}
	best := &stageWritten{Records: slices.Clone(records), Damage: w.damage}
	best.of(w.g, stage)
	fits, all := make([]map[way]*fit, len(stage)), p.merged()
	for j, m := range stage {
		fits[j] = m.fits(p, &all, j, tried)
	}
	for _, way := range tried {
		s := &stageWritten{}
		for j, m := range stage {
			s.Records = append(s.Records, w.writeMatrix(w.g.Ops[m.op], l, m, fits[j][way]))
		}
		s.of(w.g, stage)
		if w.ways == nil {
			var err error
			if s.Damage, err = w.look(); err != nil {
				return nil, err
			}
		}
		if w.ways != nil || s.Damage < best.Damage {
			best = s
		}
	}
	return best, nil
}

// look is the damage of g.
func (w *writer) look() (float64, error) {
	d, err := w.rebuild.Damage(w.g)
	return bounded(d), err
}

// bounded is a damage: nothing is worse than outputs that overflow.
func bounded(damage float64) float64 {
	if math.IsNaN(damage) || math.IsInf(damage, 0) {
		return math.MaxFloat64
	}
	return damage
}

// repairs tells whether least squares have something to do in a stage for what
// goes of it.
func (e *Edit) repairs(l *sublayer, stage []*matrix) bool {
	for _, m := range stage {
		if len(m.patterns(false)) > 0 || slices.Contains(m.rows, true) || l.attention != nil && m == l.q && l.narrowed() {
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

// A fit is how a matrix is repaired in a way.
type fit struct {
	way      way
	lambda   float64
	patterns []pattern
	aim      *aim // over all calibration rows
}

// lambdas are the pulls towards the old weights that are tried.
var lambdas = []float64{1e-3, 1e-2, 1e-1, 1, 10}

// fits are those of m, number at of the stage that p saw, in some ways, each with
// the pull that on every fifth batch comes nearest to the dense model's outputs.
func (m *matrix) fits(p *Pass, all *sums, at int, tried []way) map[way]*fit {
	w, b := p.weights[at], p.biases[at]
	teacher := all.aim(at, m)
	var most, check *aim
	if p.check.x.n > 0 {
		most, check = p.fit.aim(at, m), p.check.aim(at, m)
	}
	fits := map[way]*fit{}
	for _, group := range [][]way{{toDense, toTeacher}, {toWhole}} { // each with the same patterns
		group = slices.DeleteFunc(group, func(x way) bool { return !slices.Contains(tried, x) })
		if len(group) == 0 {
			continue
		}
		patterns := m.patterns(group[0] == toWhole)
		var aims []*aim
		for _, x := range group {
			f := &fit{way: x, lambda: damping, patterns: patterns, aim: teacher}
			aims = append(aims, most)
			if x == toDense {
				f.aim = teacher.without()
				if most != nil {
					aims[len(aims)-1] = most.without()
				}
			}
			fits[x] = f
		}
		if most == nil {
			continue
		}
		for i, lambda := range m.pulls(w, b, patterns, aims, check) {
			fits[group[i]].lambda = lambda
		}
	}
	return fits
}

// pulls are the lambdas with which the solutions for some aims come nearest to
// what check wants.
func (m *matrix) pulls(w linalg.Matrix, b []float64, patterns []pattern, aims []*aim, check *aim) []float64 {
	best, least := make([]float64, len(aims)), make([]float64, len(aims))
	for _, lambda := range lambdas {
		for i, solved := range m.solve(w, lambda, patterns, aims...) {
			var bias []float64
			if m.biased {
				bias = aims[i].refit(w, b, solved)
			}
			if miss := check.miss(solved, bias); best[i] == 0 || miss < least[i] {
				best[i], least[i] = lambda, miss
			}
		}
	}
	return best
}

// without is the aim of the dense product for the same inputs.
func (a *aim) without() *aim { return &aim{h: a.h, mean: a.mean} }
