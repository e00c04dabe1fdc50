package linalg

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Speeds are multiply-adds of one core, two operations each; compare them with
// those of peak in the same run.

func report(b *testing.B, operations float64) {
	b.ReportMetric(operations*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
}

func one() engine { return engine{best, 1} }

func BenchmarkPeak(b *testing.B) {
	const turns = 1 << 20
	for b.Loop() {
		peakAVX2(turns)
	}
	report(b, turns*12*4*2)
}

func BenchmarkGram(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, k := range []int{384, 1536, 3072} {
		b.Run(fmt.Sprint(k), func(b *testing.B) {
			x, h := random(rng, 256, k), New(k, k)
			for b.Loop() {
				one().addGram(h, x)
			}
			report(b, 256*float64(k)*float64(k))
		})
	}
}

func BenchmarkProduct(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, y, c := random(rng, 768, 768), random(rng, 768, 768), New(768, 768)
	for b.Loop() {
		one().addProduct(c, 1, x, y, false, false)
	}
	report(b, 2*768*768*768)
}

func BenchmarkCholesky(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{64, 384, 1536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := definite(rng, n, 1)
			l := a.Clone()
			for b.Loop() {
				for i := range n {
					copy(l.Row(i), a.Row(i))
				}
				one().cholesky(l)
			}
			report(b, float64(n)*float64(n)*float64(n)/3)
		})
	}
}

func BenchmarkSolve(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	l, x := definite(rng, 1536, 1), random(rng, 1536, 384)
	Cholesky(l)
	for b.Loop() {
		one().solveCholesky(l, x)
	}
	report(b, 2*1536*1536*384)
}

func BenchmarkInverse(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	l := definite(rng, 1536, 1)
	Cholesky(l)
	for b.Loop() {
		one().invertCholesky(l)
	}
	report(b, 2./3*1536*1536*1536)
}
