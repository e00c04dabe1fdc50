package prune

import (
	"slices"

	"etc/fault"
	"etc/prune/linalg"
)

// An aim is what the outputs y = W·x + b of a product should become once some
// of its entries are gone: second moments of the inputs that it now sees, and
// of those with the outputs that are wanted. Where the product has a bias they
// are central, and the bias takes over the means.
type aim struct {
	h    linalg.Matrix // [k,k] of the inputs
	g    linalg.Matrix // [k,n] of inputs with outputs; where the dense product of these inputs is wanted, nothing until goal makes it
	mean []float64     // [k] E[x]
	want []float64     // [n] E[y]; nil: that of the dense product
}

// teaches tells whether other outputs are wanted than the dense product's.
func (a *aim) teaches() bool { return a.want != nil }

// goal is H·Wᵀ, or what stands in its place, [k,n]. W is the dense weight,
// the same each time.
func (a *aim) goal(w linalg.Matrix) linalg.Matrix {
	if a.g.Data == nil {
		a.g = linalg.New(w.Cols, w.Rows)
		linalg.AddProduct(a.g, 1, a.h, w, false, true)
	}
	return a.g
}

// A pattern is the rows of a matrix that keep the same columns.
type pattern struct {
	rows []int
	stay []int // columns, ascending
}

// patterns are those of the rows that keep something but, unless whole, not
// everything, in the order of their first rows. Zeros that were there
// are not kept either.
func (m *matrix) patterns(whole bool) []pattern {
	var all []pattern
	byMask := map[string]int{}
	goes, key := make([]bool, m.k), make([]byte, m.k)
	for i := range m.n {
		if m.goes(i, goes); !whole && !slices.Contains(goes, true) {
			continue
		}
		m.absent(i, goes)
		var stay []int
		for j, z := range goes {
			key[j] = 0
			if z {
				key[j] = 1
			} else {
				stay = append(stay, j)
			}
		}
		if len(stay) == 0 {
			continue
		}
		p, ok := byMask[string(key)]
		if !ok {
			p = len(all)
			byMask[string(key)] = p
			all = append(all, pattern{stay: stay})
		}
		all[p].rows = append(all[p].rows, i)
	}
	return all
}

// rowsAPattern is how many rows must share a pattern on average for least
// squares of each pattern, whose price is a Cholesky factor each. With fewer, one
// sweep over all columns does nearly as well.
const rowsAPattern = 8

// solve is W [n,k] for each of some aims at the same inputs, with zeros where
// entries go and the others such that the outputs come nearest to what is
// wanted, with a pull towards the old weights W₀ so that few tokens do not decide
// much:
//
//	Ŵ_S = (H_SS + λI)⁻¹·(G_S + λ·W₀_S),   λ = lambda·mean(diag H)
//
// S being the columns that a row keeps: exact least squares for that support.
// Sources: K-prune (2024) and OSSCAR (2024) solve this for structures;
// rows without a companion are swept (SparseGPT, 2023).
func (m *matrix) solve(w linalg.Matrix, lambda float64, patterns []pattern, aims ...*aim) []linalg.Matrix {
	solved := make([]linalg.Matrix, len(aims))
	for i := range solved {
		solved[i] = w.Clone()
	}
	rows := 0
	for _, p := range patterns {
		rows += len(p.rows)
	}
	if rows >= rowsAPattern*len(patterns) || len(patterns) == 1 {
		solvePatterns(solved, w, lambda, patterns, aims)
	} else {
		for i, a := range aims {
			m.sweepTo(solved[i], w, lambda, a)
		}
	}
	goes := make([]bool, m.k)
	for i := range m.n {
		m.absent(i, goes)
		for j, z := range goes {
			for s := range solved {
				if z {
					solved[s].Set(i, j, 0)
				}
			}
		}
	}
	return solved
}

// sweepTo sweeps what goes out of w, or of the weights that a teacher wants.
func (m *matrix) sweepTo(solved, w linalg.Matrix, lambda float64, a *aim) {
	if a.teaches() {
		whole := []pattern{{span(0, m.n), span(0, m.k)}}
		solvePatterns([]linalg.Matrix{solved}, w, lambda, whole, []*aim{a})
	}
	masks := make([]bool, m.n*m.k)
	for i := range m.n {
		m.absent(i, masks[i*m.k:(i+1)*m.k])
	}
	sweep(solved, a.h, func(i, j int) bool { return masks[i*m.k+j] }, nil)
}

// solvePatterns solves each pattern for each aim; w holds the old weights, and so does
// what is solved, which stays so where no input varies: there is nothing to go by. The
// aims share the factor of a pattern, which is most of the work.
func solvePatterns(solved []linalg.Matrix, w linalg.Matrix, lambda float64, patterns []pattern, aims []*aim) {
	h := aims[0].h
	if !(trace(h) > 0) {
		return
	}
	pull := lambda * trace(h) / float64(max(1, h.Rows))
	for _, p := range patterns {
		hs := linalg.Select(h, p.stay, p.stay)
		for j := range hs.Rows {
			hs.Set(j, j, hs.At(j, j)+pull)
		}
		n := len(p.rows)
		b := linalg.New(len(p.stay), n*len(aims))
		for s, a := range aims {
			goal := a.goal(w)
			for jj, j := range p.stay {
				row, from := b.Row(jj)[s*n:], goal.Row(j)
				for ii, i := range p.rows {
					row[ii] = from[i] + float64(pull*w.At(i, j))
				}
			}
		}
		linalg.SolveCholesky(damped(hs, 0), b)
		for s := range aims {
			for jj, j := range p.stay {
				row := b.Row(jj)[s*n:]
				for ii, i := range p.rows {
					solved[s].Set(i, j, row[ii])
				}
			}
		}
	}
}

// miss is the mean square by which outputs of W with bias b miss what a wants,
// up to a constant that does not depend on them. Of a matrix without a bias,
// b is nil and the moments are not central.
func (a *aim) miss(w linalg.Matrix, b []float64) float64 {
	wh := linalg.New(w.Rows, w.Cols)
	linalg.AddProduct(wh, 1, w, a.h, false, false)
	sum := dot(wh, w)
	for i := range w.Rows {
		for j, x := range w.Row(i) {
			sum -= float64(2 * x * a.g.At(j, i))
		}
		if b != nil {
			off := a.want[i] - b[i]
			for j, x := range w.Row(i) {
				off -= float64(x * a.mean[j])
			}
			sum += float64(off * off)
		}
	}
	return sum
}

// refit is the bias for W: what keeps the means that are wanted.
func (a *aim) refit(old linalg.Matrix, b []float64, w linalg.Matrix) []float64 {
	refitted := make([]float64, len(b))
	fault.Parallel(len(b), func(i int) {
		if a.teaches() {
			refitted[i] = a.want[i]
			for j, x := range w.Row(i) {
				refitted[i] -= float64(x * a.mean[j])
			}
			return
		}
		refitted[i] = b[i]
		was := old.Row(i)
		for j, x := range w.Row(i) {
			if x != was[j] {
				refitted[i] += float64((was[j] - x) * a.mean[j])
			}
		}
	})
	return refitted
}

// mixQueries lets the features of queries that stay take over what they can of
// those that go, head by head: with C the covariance of the keys,
// Ŵ_Q,S = (C_SS)⁻¹·C_S·W_Q keeps the scores q·kᵀ as near as keys allow, and
// the biases of queries likewise. What is the same for all keys does not
// matter to softmax.
func (a *attention) mixQueries(w linalg.Matrix, b []float64) {
	for h := range a.heads {
		var stay []int
		for i := range a.d {
			if !a.q.unread[h*a.d+i] {
				stay = append(stay, i)
			}
		}
		if len(stay) == 0 || len(stay) == a.d {
			continue
		}
		c := a.k.outputs(span(h*a.d, a.d), false)
		mix := linalg.Select(c, stay, nil)
		linalg.SolveCholesky(damped(linalg.Select(c, stay, stay), damping), mix)
		for s := range stay { // of themselves they keep all, whatever the damping
			for t, j := range stay {
				mix.Set(s, j, 0)
				if s == t {
					mix.Set(s, j, 1)
				}
			}
		}
		head := linalg.Select(w, span(h*a.d, a.d), nil)
		mixed := linalg.New(len(stay), w.Cols)
		linalg.AddProduct(mixed, 1, mix, head, false, false)
		for s, i := range stay {
			copy(w.Row(h*a.d+i), mixed.Row(s))
		}
		if b == nil {
			continue
		}
		bias := slices.Clone(b[h*a.d : (h+1)*a.d])
		for s, i := range stay {
			sum := 0.0
			for j, x := range mix.Row(s) {
				sum += float64(x * bias[j])
			}
			b[h*a.d+i] = sum
		}
	}
}
