package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"etc/executor/cpu/pool"
	"etc/formats/plan/layout"
)

// rate runs f, which does so many operations, and reports the mean rate and
// that of the fastest run: the one to read where others use the machine.
func rate(b *testing.B, flops int, f func()) {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(float64(flops)/best.Seconds()/1e9, "best-GFLOP/s")
}

func BenchmarkPeak(b *testing.B) {
	for _, t := range tables() {
		b.Run(t.level.String(), func(b *testing.B) {
			const rounds = 10000
			rate(b, t.Peak(rounds), func() { t.Peak(rounds) })
		})
	}
}

func BenchmarkPeakIntegers(b *testing.B) {
	for _, t := range integerTables()[1:] {
		for _, typ := range []layout.Int{layout.Int16, layout.Int8} {
			b.Run(fmt.Sprintf("int%d/%s", 8*typ, t.integerName()), func(b *testing.B) {
				const rounds = 10000
				rate(b, t.PeakIntegers(typ, rounds), func() { t.PeakIntegers(typ, rounds) })
			})
		}
	}
}

func BenchmarkDense(b *testing.B) {
	for _, t := range tables()[1:] {
		for _, s := range [][2]int{{384, 384}, {1536, 384}, {384, 1536}} {
			for _, rows := range []int{1, 16, 128, 1024} {
				for threads := 1; threads <= 2; threads++ {
					b.Run(fmt.Sprintf("%s/%dx%d/T%d/%d", t.level, s[0], s[1], rows, threads), func(b *testing.B) {
						p := newBenchProduct(rows, s[0], s[1], 0)
						workers := pool.New(threads)
						defer workers.Close()
						const tasks = 8
						step := pool.Step{Tasks: tasks, Job: pool.Func(func(_, i int) {
							n := layout.Blocks(p.n)
							t.Dense(&p.linear, p.panels, i*n/tasks, (i+1)*n/tasks)
						})}
						begun := false
						next := func(int) pool.Step {
							if begun = !begun; begun {
								return step
							}
							return pool.Step{}
						}
						rate(b, 2*rows*p.n*p.k, func() { workers.Run(1, next) })
					})
				}
			}
		}
	}
}

// BenchmarkSparse counts the operations of the dense product: its GFLOP/s
// compare with BenchmarkDense as times do. Few tokens leave lanes of csr empty.
func BenchmarkSparse(b *testing.B) {
	for _, t := range tables()[1:] {
		for _, s := range [][2]int{{384, 384}, {1536, 384}, {384, 1536}, {1536, 1536}} {
			for _, zeros := range []float64{0, 0.3, 0.5, 0.75, 0.9} {
				for _, rows := range []int{1, 4, 8, 16, 96, 128} {
					benchSparse(b, t, newBenchProduct(rows, s[0], s[1], zeros), fmt.Sprintf("%s/%dx%d/%g/T%d", t.level, s[0], s[1], zeros, rows))
				}
			}
		}
	}
}

func benchSparse(b *testing.B, t *Table, p *product, name string) {
	scratch := make([]float32, CSRScratch())
	panels := layout.Blocks(p.n)
	for _, form := range forms {
		b.Run(name+"/"+form, func(b *testing.B) {
			rate(b, 2*p.rows*p.n*p.k, func() {
				switch form {
				case "dense":
					t.Dense(&p.linear, p.panels, 0, panels)
				case "tiles":
					t.Tiles(&p.linear, p.tiles, 0, panels)
				case "csr":
					t.CSR(&p.linear, p.csr, 0, panels, scratch)
				}
			})
		})
	}
}

// newBenchProduct has the share zeros of its tiles zero, and as many entries of csr.
func newBenchProduct(rows, n, k int, zeros float64) *product {
	r := rand.New(rand.NewPCG(1, 1))
	p := &product{rows: rows, n: n, k: k}
	fill := func(zero func(i, c int) bool) []float32 {
		w := make([]float32, n*k)
		for i := range n {
			for c := range k {
				if !zero(i, c) {
					w[i*k+c] = r.Float32() + 0.1
				}
			}
		}
		return w
	}
	dead := map[[2]int]bool{}
	for i := range n / 16 {
		for c := range k / 16 {
			dead[[2]int{i, c}] = r.Float64() < zeros
		}
	}
	w := fill(func(i, c int) bool { return dead[[2]int{i / 16, c / 16}] })
	b := alignedBytes(make([]byte, layout.PanelBytes(n, k)))
	layout.PackPanels(b, w, n, k)
	p.panels = must(layout.CheckPanels(n, k, b))
	p.tiles = must(layout.CheckTiles(n, k, alignedBytes(layout.PackTiles(w, n, k))))
	p.csr = must(layout.CheckCSR(n, k, alignedBytes(layout.PackCSR(fill(func(i, c int) bool { return r.Float64() < zeros }), n, k))))
	p.linear = Linear{Rows: rows, X: matrix(r, rows, k, k).data, XStride: k, Y: make([]float32, rows*n), YStride: n, Bias: make([]float32, n)}
	return p
}

// BenchmarkIntegers counts the operations of the product, and takes the time of
// the quantisation of the rows with it: its GOP/s stand beside the GFLOP/s of
// BenchmarkDense, one thread.
func BenchmarkIntegers(b *testing.B) {
	for _, t := range integerTables()[1:] {
		for _, typ := range []layout.Int{layout.Int16, layout.Int8} {
			for _, s := range [][2]int{{1152, 384}, {384, 384}, {1536, 384}, {384, 1536}, {3072, 768}} {
				for _, rows := range []int{1, 16, 32, 128, 1024} {
					p := newBenchProduct(rows, s[0], s[1], 0.5)
					for _, form := range intForms {
						q := intProduct{typ: typ, rows: rows, n: p.n, k: p.k, linear: p.linear}
						if form == "tiles" {
							q.tiles = alignedBytes(layout.PackIntTiles(typ, p.tiles.Unpack(), p.n, p.k))
						} else {
							q.panels = alignedBytes(layout.PackIntPanels(typ, p.panels.Unpack(), p.n, p.k))
						}
						w, x := q.weight(t, form), q.quantised(t)
						name := fmt.Sprintf("int%d/%s/%dx%d/T%d/%s", 8*typ, t.integerName(), s[0], s[1], rows, form)
						b.Run(name, func(b *testing.B) {
							rate(b, 2*rows*p.n*p.k, func() {
								for r := range rows {
									t.Quantise(&x, r, q.linear.X[r*p.k:(r+1)*p.k])
								}
								t.Integers(&q.linear, x, w, 0, layout.Blocks(p.n))
							})
						})
					}
				}
			}
		}
	}
}

// BenchmarkQuantise counts a value as one operation.
func BenchmarkQuantise(b *testing.B) {
	for _, t := range integerTables() {
		for _, typ := range []layout.Int{layout.Int16, layout.Int8} {
			b.Run(fmt.Sprintf("int%d/%s", 8*typ, t.integerName()), func(b *testing.B) {
				p := newBenchProduct(1, 16, 1536, 0)
				q := intProduct{typ: typ, rows: 1, k: p.k, linear: p.linear}
				x := q.quantised(t)
				rate(b, p.k, func() { t.Quantise(&x, 0, p.linear.X) })
			})
		}
	}
}
