package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// attentionCase is a head with guarded operands.
type attentionCase struct {
	Attention
	out guarded
}

func newAttention(r *rand.Rand, nq, nk, d, dv int) *attentionCase {
	pad := r.IntN(4)
	c := &attentionCase{Attention: Attention{
		NQ: nq, NK: nk, D: d, DV: dv,
		QStride: d + pad, KStride: d + 2*pad, VStride: dv + pad, OutStride: dv + pad,
		Scale: float32(math.Log2E / math.Sqrt(float64(d))), BiasScale: math.Log2E,
	}}
	c.Q, c.K, c.V = matrix(r, nq, d, c.QStride).data, matrix(r, nk, d, c.KStride).data, matrix(r, nk, dv, c.VStride).data
	c.out = guardedSlice((nq-1)*c.OutStride + dv)
	c.Out = c.out.data
	return c
}

func (c *attentionCase) run(t *testing.T, table *Table) []float32 {
	t.Helper()
	scratch := guardedSlice(AttentionScratch(c.NK, c.D, c.DV))
	table.Attention(&c.Attention, scratch.data)
	scratch.check(t, "attention scratch")
	c.out.check(t, "attention")
	out := make([]float32, 0, c.NQ*c.DV)
	for i := range c.NQ {
		row := c.Out[i*c.OutStride:]
		out = append(out, row[:c.DV]...)
		for j := c.DV; j < c.OutStride && i+1 < c.NQ; j++ {
			if math.Float32bits(row[j]) != math.Float32bits(nan) {
				t.Fatalf("attention [%d %d %d %d]: wrote between rows", c.NQ, c.NK, c.D, c.DV)
			}
		}
	}
	return out
}

// want is one query's output in float64.
func (c *attentionCase) want(i int) []float64 {
	scores := make([]float64, c.keysOf(i))
	most := math.Inf(-1)
	for j := range scores {
		for x := range c.D {
			scores[j] += float64(c.Q[i*c.QStride+x]) * float64(c.K[j*c.KStride+x])
		}
		scores[j] *= float64(c.Scale)
		if c.Bias != nil {
			scores[j] += float64(c.BiasScale) * float64(c.Bias[(len(c.Bias)-1)/2+j-c.position(i)])
		}
		most = max(most, scores[j])
	}
	sum, out := 0.0, make([]float64, c.DV)
	for j, s := range scores {
		p := math.Exp2(s - most)
		sum += p
		for x := range out {
			out[x] += p * float64(c.V[j*c.VStride+x])
		}
	}
	for x := range out {
		out[x] /= sum
	}
	return out
}

func (c *attentionCase) check(t *testing.T, what string, got []float32) {
	t.Helper()
	for i := range c.NQ {
		for x, want := range c.want(i) {
			// Scores are of order 1 to 10 and rounded to 2⁻²⁴ of that; v is of order 1.
			if g := float64(got[i*c.DV+x]); !(math.Abs(g-want) <= 4e-6) {
				t.Fatalf("%s [%d %d %d %d] causal %v: out[%d,%d] = %g, want %g", what, c.NQ, c.NK, c.D, c.DV, c.Causal, i, x, g, want)
			}
		}
	}
}

func attentionShapes() [][4]int {
	var s [][4]int
	for n := 1; n <= 35; n++ {
		s = append(s, [4]int{n, n, 1 + n%33, 1 + n*7%35}, [4]int{n, n, 16, 16}, [4]int{1 + n%5, n, 32, 48})
	}
	return append(s, [4]int{64, 64, 32, 32}, [4]int{100, 100, 64, 64}, [4]int{130, 130, 32, 33}, [4]int{1, 512, 64, 64}, [4]int{70, 257, 40, 24})
}

// TestAttention: every level is right, plain and causal, with and without bias,
// and AVX2 and AVX-512 give the same bits; so does each query by itself.
func TestAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	for i, s := range attentionShapes() {
		if raceEnabled && i%5 != 0 {
			continue
		}
		for mode := range 4 {
			c := newAttention(r, s[0], s[1], s[2], s[3])
			c.Causal = mode&1 != 0
			if mode&2 != 0 {
				c.Bias = matrix(r, 1, 2*s[1]+5, 0).data
			}
			if s[0] < s[1] { // a selection of the row's tokens
				for range c.NQ {
					c.Positions = append(c.Positions, int32(r.IntN(c.NK)))
				}
			}
			var fused []float32
			for _, table := range tables() {
				what := fmt.Sprint(table.level, " mode ", mode)
				got := c.run(t, table)
				c.check(t, what, got)
				c.checkAlone(t, table, got)
				if table.level == AVX2 {
					fused = got
				} else if table.level == AVX512 && !sameBits(fused, got) {
					t.Fatalf("%s %v: AVX2 and AVX-512 differ", what, s)
				}
			}
		}
	}
}

func (c *attentionCase) checkAlone(t *testing.T, table *Table, got []float32) {
	t.Helper()
	for i := 0; i < c.NQ; i += 3 {
		one := *c
		one.NQ, one.Q = 1, c.Q[i*c.QStride:]
		one.First, one.Positions = c.position(i), nil
		one.out = guardedSlice(c.DV)
		one.Out = one.out.data
		if !sameBits(got[i*c.DV:(i+1)*c.DV], one.run(t, table)) {
			t.Fatalf("%s [%d %d %d %d]: query %d has other bits alone", table.level, c.NQ, c.NK, c.D, c.DV, i)
		}
	}
}

// TestCausalAttentionDoesNotSeeAhead: what is NaN in a later token stays there.
func TestCausalAttentionDoesNotSeeAhead(t *testing.T) {
	const n, bad = 29, 13
	c := newAttention(rand.New(rand.NewPCG(12, 1)), n, n, 8, 20)
	c.Causal = true
	c.K[bad*c.KStride], c.V[bad*c.VStride+3] = nan, nan
	for _, table := range tables() {
		out := c.run(t, table)
		for i := range n {
			if isNaN := out[i*c.DV] != out[i*c.DV]; isNaN != (i >= bad) {
				t.Fatalf("%s: query %d: NaN %v", table.level, i, isNaN)
			}
		}
	}
}

// TestAttentionOutliers: scores far apart make a softmax of one key, and no NaN.
func TestAttentionOutliers(t *testing.T) {
	c := newAttention(rand.New(rand.NewPCG(13, 1)), 9, 40, 16, 16)
	for i := range c.D {
		c.K[17*c.KStride+i] = 1e4
	}
	for i := range c.Q {
		c.Q[i] = float32(math.Abs(float64(c.Q[i])))
	}
	for _, table := range tables() {
		out := c.run(t, table)
		for i := range c.NQ {
			if !sameBits(out[i*c.DV:(i+1)*c.DV], c.V[17*c.VStride:][:c.DV]) {
				t.Fatalf("%s: query %d is not the value of the one key that counts", table.level, i)
			}
		}
	}
}

func TestAttentionDoesNotAllocate(t *testing.T) {
	c := newAttention(rand.New(rand.NewPCG(14, 1)), 20, 20, 16, 20)
	c.Causal = true
	scratch := make([]float32, AttentionScratch(c.NK, c.D, c.DV))
	for _, table := range tables() {
		if n := testing.AllocsPerRun(10, func() { table.Attention(&c.Attention, scratch) }); n != 0 {
			t.Errorf("%s: %g allocations", table.level, n)
		}
	}
}

// TestSoftmax: against float64, to 5 parts in 2²⁴ of the value, and as many
// more as the score is below the largest: their difference is rounded.
func TestSoftmax(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 1))
	for n := 16; n <= 160; n += 16 {
		x := matrix(r, 1, n, n)
		for i := range x.data {
			x.data[i] *= 20
		}
		x.data[n/2] = float32(math.Inf(-1))
		most, sum := math.Inf(-1), 0.0
		for _, v := range x.data {
			most = max(most, float64(v))
		}
		for _, v := range x.data {
			sum += math.Exp2(float64(v) - most)
		}
		for _, table := range tables() {
			p := guardedSlice(n)
			copy(p.data, x.data)
			table.softmax(p.data, 0, 1, len(p.data)/lanes)
			p.check(t, "softmax")
			for i, v := range x.data {
				want := math.Exp2(float64(v)-most) / sum
				if g := float64(p.data[i]); !(math.Abs(g-want) <= want*(5+most-float64(v))/(1<<24)) && want > 0 {
					t.Fatalf("%s: softmax of %g (most %g) = %g, want %g", table.level, v, most, g, want)
				}
			}
			if p.data[n/2] != 0 {
				t.Fatalf("%s: softmax of -Inf = %g, want 0", table.level, p.data[n/2])
			}
		}
	}
}

// TestSoftmaxPowers: where differences of scores are exact, powers of two are
// off by 3 parts in 2²⁴ at most: the polynomial and two multiplications.
func TestSoftmaxPowers(t *testing.T) {
	const n = 512
	for _, table := range tables() {
		p := make([]float32, n)
		for i := range p {
			p[i] = -float32(i) / 64
		}
		table.softmax(p, 0, 1, n/lanes)
		for i, v := range p {
			want := math.Exp2(-float64(i) / 64)
			if got := float64(v) / float64(p[0]); !(math.Abs(got-want) <= want*3/(1<<24)) {
				t.Fatalf("%s: 2^%g = %g, want %g", table.level, -float64(i)/64, got, want)
			}
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, table := range tables()[1:] {
		for _, s := range [][2]int{{32, 32}, {128, 32}, {512, 32}, {128, 64}} {
			for _, causal := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/S%d/d%d/causal=%v", table.level, s[0], s[1], causal), func(b *testing.B) {
					c := newAttention(rand.New(rand.NewPCG(1, 1)), s[0], s[0], s[1], s[1])
					c.Causal = causal
					c.QStride, c.KStride, c.VStride = 1152, 1152, 1152
					qkv := matrix(rand.New(rand.NewPCG(1, 1)), s[0], 1152, 1152).data
					c.Q, c.K, c.V = qkv, qkv[384:], qkv[768:]
					scratch := make([]float32, AttentionScratch(c.NK, c.D, c.DV))
					rate(b, 4*s[0]*s[0]*s[1], func() { table.Attention(&c.Attention, scratch) })
				})
			}
		}
	}
}
