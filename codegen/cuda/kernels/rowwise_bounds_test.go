package kernels

import (
	"math"

	"etc/formats/plan/launch"
)

// How far a result may lie from its meaning, by the roundings that a kernel
// does in the order it does them. Nothing here is measured.
//
// A float32 operation rounds by at most u = 2⁻²⁴ of its result, or by 2⁻¹⁵⁰,
// half of the smallest number; n in a row by γ(n) = n·u/(1−n·u) of what they
// compute (Higham, Accuracy and Stability, lemma 3.1). A fused operation rounds
// once where two are counted. CUDA's guide gives 2 units in the last place for
// __fdividef and rsqrtf, which are at most 4u, and correct rounding for sqrtf.
const (
	rowUnit     = 0x1p-24
	rowSmallest = 0x1p-149
	rowQuotient = 4 // roundings that __fdividef and rsqrtf count as
)

func roundings(n int) float64 { return float64(n) * rowUnit / (1 - float64(n)*rowUnit) }

// sumDepth is how many additions a value of a row of that width goes through
// at most: in its lane, of which the first has the most (four columns of every
// 128) and whose first addition is to zero; five in the warp.
func sumDepth(width int) int { return 4*(width/128) + min(4, width%128) - 1 + 5 }

// bounds are those of a row of a result, whose values mean y.
func (p *rowProblem) bounds(name string, row int, y []float64) []float64 {
	var before []float64 // the bounds in float32
	switch {
	case p.kernel.Family == "pool":
		before = p.poolBounds(row)
	case p.kernel.Family == "normalize":
		before = p.lengthBounds(row, y)
	case name == "norm" || p.vectors["gamma"] != nil && name == "y":
		before = p.normBounds(row, y)
	case p.kernel.Family == "select_rows":
		return p.copyBounds(y, p.wide(name))
	default:
		_, before = p.sums(row)
	}
	for i, e := range before {
		before[i] = e + p.storing(math.Abs(y[i])+e, p.wide(name))
	}
	return before
}

// storing is the rounding of a value of that magnitude to how it is stored:
// half a unit of 11 bits (f16) or 8 (bf16), or half of the smallest number.
func (p *rowProblem) storing(y float64, wide bool) float64 {
	switch {
	case wide:
		return 0
	case p.kernel.Value("DTYPE") == launch.BF16:
		return y*0x1p-8 + p.smallest(false)/2
	}
	return y*0x1p-11 + p.smallest(false)/2
}

// copyBounds: a copy is what rounding gives, exactly.
func (p *rowProblem) copyBounds(y []float64, wide bool) []float64 {
	all := make([]float64, len(y))
	for i, v := range y {
		all[i] = math.Abs(p.round(v, wide) - v)
	}
	return all
}

// sums are the values of a row of embeddings or of a skip, or of x where
// nothing is added, and how far those in float32 may lie from them: each of n
// terms, and the factor of an embedding, rounds a sum that is at most Σ|terms|.
func (p *rowProblem) sums(row int) (s, bounds []float64) {
	s, bounds = make([]float64, p.width), make([]float64, p.width)
	terms := 0
	add := func(c int, v float64) { s[c], bounds[c] = s[c]+v, bounds[c]+math.Abs(v) }
	for i, t := range rowTables {
		if a := p.tables[t.table]; a != nil {
			terms++
			for c, v := range a.F[p.lists[t.list][row]*p.width:][:p.width] {
				add(c, v*[]float64{rowScale, 1, 1}[i])
			}
		}
	}
	for _, name := range []string{"residual", "x"} {
		if a := p.inputs[name]; a != nil {
			terms++
			for i, v := range a.F[row*a.Shape[1]:][:a.Shape[1]] {
				if name == "x" && p.places != nil {
					i = p.places[i]
				}
				add(i, v)
			}
		}
	}
	if bias := p.vectors["bias"]; bias != nil {
		terms++
		for c, v := range bias {
			add(c, v)
		}
	}
	if p.tables["word"] == nil {
		terms-- // the first is added to nothing, and has no factor
	}
	for c := range bounds {
		bounds[c] *= roundings(terms)
		if p.tables["word"] != nil {
			bounds[c] += rowSmallest // of the product, where it is that small; sums then are exact
		}
	}
	return s, bounds
}

// poolBounds: n−1 additions, then a product with a quotient.
func (p *rowProblem) poolBounds(row int) []float64 {
	all := make([]float64, p.width)
	n := p.lengths[row]
	for token := p.offsets[row]; token < p.offsets[row+1]; token++ {
		for c := range all {
			all[c] += math.Abs(p.inputs["x"].F[token*p.width+c]) / float64(n)
		}
	}
	for c := range all {
		all[c] = all[c]*roundings(n-1+rowQuotient+1) + rowSmallest
	}
	return all
}

// lengthBounds: squares of one sign have a sum off by θ of itself, and by half
// of the smallest number each where they are that small; its root then is off
// by θ/2, to first order, and rounds, or is the limit 1e-12, which rounds; then
// a quotient and a product. Below its limit the length itself does not matter.
func (p *rowProblem) lengthBounds(row int, y []float64) []float64 {
	sum := 0.0
	for _, v := range p.inputs["x"].F[row*p.width:][:p.width] {
		sum += v * v
	}
	theta := roundings(sumDepth(p.width)+1) + float64(p.width)*rowSmallest/max(sum, 1e-24)
	off := theta/2/(1-theta) + roundings(1+1+rowQuotient+1)
	off += off * off
	all := make([]float64, p.width)
	for c := range all {
		all[c] = off*math.Abs(y[c]) + rowSmallest
	}
	return all
}

// normBounds: y = gamma·d/σ + beta, where d = s − mean and σ² = var + eps.
//
//   - s is off by e (sums).
//   - The mean is off by m: that of e; and depth additions, a quotient and a
//     product round Σ(|s|+e)/width.
//   - So d is off by e + m, and rounds.
//   - The variance is Σ(d+e+m)²/width with θ of it lost in roundings: d's counts
//     twice, the square, depth additions, the quotient, its product; eps rounds,
//     and its addition. Σd is zero, so m enters in its square only:
//     σ² is off by θσ² + (1+θ)·(2Σ|d|e + Σ(e+m)²)/width, of which the last term
//     can only enlarge it.
//   - The factor 1/σ then is off by ρ of itself: as a root of that, and 2 units
//     of rsqrtf.
//   - d, d·factor and its product with gamma round, and the sum with beta.
//
// All is of the row's own numbers: where σ is small against the mean, as in a
// constant row, m/σ is large in any order of float32.
func (p *rowProblem) normBounds(row int, y []float64) []float64 {
	s, e := p.sums(row)
	width, depth := float64(p.width), sumDepth(p.width)
	var mean, size, shift float64
	for c := range s {
		mean, size, shift = mean+s[c]/width, size+(math.Abs(s[c])+e[c])/width, shift+e[c]/width
	}
	m := shift + roundings(depth+rowQuotient+1)*size + rowSmallest
	var variance, cross, square float64
	for c := range s {
		d := s[c] - mean
		variance, cross, square = variance+d*d/width, cross+2*math.Abs(d)*e[c]/width, square+(e[c]+m)*(e[c]+m)/width
	}
	sigma2 := variance + p.eps
	theta := roundings(2 + 1 + depth + rowQuotient + 1 + 2)
	smaller := theta + (1+theta)*cross/sigma2
	if smaller > 0.5 {
		panic("bug: numbers whose norm float32 does not hold: " + p.String())
	}
	larger := smaller + (1+theta)*square/sigma2
	rho := max(1/math.Sqrt(1-smaller)-1, 1-1/math.Sqrt(1+larger))
	rho += (1 + rho) * roundings(rowQuotient)
	all := make([]float64, p.width)
	for c := range all {
		d, off := math.Abs(s[c]-mean), e[c]+m
		f := math.Abs(p.vectors["gamma"][c]) / math.Sqrt(sigma2)
		b := f * (off*(1+rho) + d*rho + (d+off)*(1+rho)*roundings(3))
		all[c] = b + rowUnit*(math.Abs(y[c])+b) + rowSmallest
	}
	return all
}
