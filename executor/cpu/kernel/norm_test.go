package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// widths cover all remainders and the widths of real models.
func widths() []int {
	w := []int{128, 384, 768, 1000}
	for n := 1; n <= 49; n++ {
		w = append(w, n)
	}
	return w
}

// eachLevel runs f at each level into a guarded result of n values and insists
// on the same bits at all of them: these kernels fuse nothing.
func eachLevel(t *testing.T, what string, n int, f func(table *Table, y []float32)) []float32 {
	t.Helper()
	var first []float32
	for _, table := range tables() {
		y := guardedSlice(n)
		f(table, y.data)
		y.check(t, what)
		if first == nil {
			first = y.data
		} else if !sameBits(first, y.data) {
			t.Fatalf("%s, width %d: %s and generic differ", what, n, table.level)
		}
	}
	return first
}

func near(t *testing.T, what string, got []float32, want func(i int) float64, bound float64) {
	t.Helper()
	for i, g := range got {
		if w := want(i); !(math.Abs(float64(g)-w) <= bound*max(1, math.Abs(w))) {
			t.Fatalf("%s, width %d: value %d = %g, want %g", what, len(got), i, g, w)
		}
	}
}

func normalized(x []float32, gamma, beta []float32, eps float64) []float64 {
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (float64(v)-mean)/math.Sqrt(variance+eps)*float64(gamma[i]) + float64(beta[i])
	}
	return y
}

func TestLayerNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	const eps = 1e-5
	for _, n := range widths() {
		x, gamma, beta := matrix(r, 1, n, n).data, matrix(r, 1, n, n).data, matrix(r, 1, n, n).data
		if n > 100 {
			x[17] = 300 // an outlier, as real models have
		}
		got := eachLevel(t, "layernorm", n, func(table *Table, y []float32) { table.LayerNorm(y, x, gamma, beta, eps) })
		want := normalized(x, gamma, beta, eps)
		near(t, "layernorm", got, func(i int) float64 { return want[i] }, 2e-5)

		res, bias := matrix(r, 1, n, n).data, matrix(r, 1, n, n).data
		sum := eachLevel(t, "skip sum", n, func(table *Table, y []float32) { table.SkipLayerNorm(y, nil, x, res, bias, nil, nil, eps) })
		near(t, "skip sum", sum, func(i int) float64 { return float64(x[i]) + float64(res[i]) + float64(bias[i]) }, 3e-7)
		norm := eachLevel(t, "skip norm", n, func(table *Table, y []float32) {
			table.SkipLayerNorm(nil, y, x, res, bias, gamma, beta, eps)
		})
		both := eachLevel(t, "skip both", n, func(table *Table, y []float32) {
			s := make([]float32, n)
			table.SkipLayerNorm(s, y, x, res, bias, gamma, beta, eps)
			if !sameBits(s, sum) {
				t.Fatalf("width %d: the sum depends on whether norm is wanted", n)
			}
		})
		alone := eachLevel(t, "norm of sum", n, func(table *Table, y []float32) { table.LayerNorm(y, sum, gamma, beta, eps) })
		if !sameBits(norm, both) || !sameBits(norm, alone) {
			t.Fatalf("width %d: skip-layernorm is not the layer norm of its sum", n)
		}
	}
}

func TestEmbedRowMeanPoolNormalize(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 1))
	for _, n := range widths() {
		word, pos, typ := matrix(r, 1, n, n).data, matrix(r, 1, n, n).data, matrix(r, 1, n, n).data
		got := eachLevel(t, "embed", n, func(table *Table, y []float32) { table.EmbedRow(y, word, pos, typ, 3.5) })
		near(t, "embed", got, func(i int) float64 { return 3.5*float64(word[i]) + float64(pos[i]) + float64(typ[i]) }, 5e-7)
		got = eachLevel(t, "embed word", n, func(table *Table, y []float32) { table.EmbedRow(y, word, nil, nil, 1) })
		if !sameBits(got, word) {
			t.Fatalf("width %d: a word alone is changed", n)
		}

		for _, rows := range []int{1, 2, 7} {
			x := matrix(r, rows, n, n+2).data
			got = eachLevel(t, "mean", n, func(table *Table, y []float32) { table.MeanPool(y, x, n+2, rows) })
			near(t, "mean", got, func(i int) float64 {
				s := 0.0
				for r := range rows {
					s += float64(x[r*(n+2)+i])
				}
				return s / float64(rows)
			}, 1e-6)
		}

		length := 0.0
		for _, v := range word {
			length += float64(v) * float64(v)
		}
		got = eachLevel(t, "unit length", n, func(table *Table, y []float32) { table.Normalize(y, word) })
		near(t, "unit length", got, func(i int) float64 { return float64(word[i]) / math.Sqrt(length) }, 3e-7)
		zero := make([]float32, n)
		if got = eachLevel(t, "zero", n, func(table *Table, y []float32) { table.Normalize(y, zero) }); !sameBits(got, zero) {
			t.Fatalf("width %d: the zero vector becomes %v", n, got)
		}
	}
}

func TestLogSumExp(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 1))
	for _, n := range []int{1, 5, 16, 17, 100, 1000} {
		for _, block := range []int{16, 48, 1000} {
			x := matrix(r, 1, n, n).data
			for i := range x {
				x[i] = x[i]*30 - 200 // far from 0, rising and falling maxima
			}
			best, sum := 0, 0.0
			for i, v := range x {
				if v > x[best] {
					best = i
				}
			}
			for _, v := range x {
				sum += math.Exp(float64(v) - float64(x[best]))
			}
			want := float64(x[best]) + math.Log(sum)
			var fused float64
			for _, table := range tables() {
				var s LogSumExp
				for i := 0; i < n; i += block {
					table.Extend(&s, x[i:min(n, i+block)], i)
				}
				if s.At != best || s.Most != x[best] || !(math.Abs(s.Value()-want) <= 5e-5) {
					t.Fatalf("%s: log-sum-exp of %d by %d = %g at %d, want %g at %d", table.level, n, block, s.Value(), s.At, want, best)
				}
				if table.level == AVX2 {
					fused = s.Value()
				} else if table.level == AVX512 && s.Value() != fused {
					t.Fatalf("log-sum-exp of %d by %d: AVX2 and AVX-512 differ", n, block)
				}
			}
			x[n/2] = nan
			for _, table := range tables() {
				var s LogSumExp
				table.Extend(&s, x, 0)
				if s.Value() == s.Value() {
					t.Fatalf("%s: log-sum-exp with NaN = %g", table.level, s.Value())
				}
			}
		}
	}
}

func BenchmarkSkipLayerNorm(b *testing.B) {
	for _, table := range tables() {
		b.Run(table.level.String(), func(b *testing.B) {
			const rows, n = 128, 384
			x := matrix(rand.New(rand.NewPCG(1, 1)), rows, n, n).data
			y, one := make([]float32, rows*n), matrix(rand.New(rand.NewPCG(1, 1)), 1, n, n).data
			for b.Loop() {
				for r := range rows {
					table.SkipLayerNorm(nil, y[r*n:(r+1)*n], x[r*n:(r+1)*n], x[r*n:(r+1)*n], nil, one, one, 1e-12)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows/n, "ns/element")
		})
	}
}
