package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/formats/plan/layout"
)

// A product is one test case: W in every layout, with some tiles zero.
type product struct {
	rows, n, k int
	w          []float32
	panels     layout.Panels
	tiles      layout.Tiles
	csr        layout.CSR
	linear     Linear
	x, y       guarded
}

func newProduct(r *rand.Rand, rows, n, k int) *product {
	p := &product{rows: rows, n: n, k: k, w: make([]float32, n*k)}
	for i := range p.w {
		if (i/k/16+i%k/16)%3 != 1 && r.IntN(4) > 0 {
			p.w[i] = float32(r.NormFloat64())
		}
	}
	packed := guardedSlice(layout.PanelBytes(n, k) / 4)
	layout.PackPanels(bytesOf(packed.data), p.w, n, k)
	p.panels = must(layout.CheckPanels(n, k, bytesOf(packed.data)))
	p.tiles = must(layout.CheckTiles(n, k, alignedBytes(layout.PackTiles(p.w, n, k))))
	p.csr = must(layout.CheckCSR(n, k, alignedBytes(layout.PackCSR(p.w, n, k))))
	stride := k + r.IntN(5)
	p.x = matrix(r, rows, k, stride)
	ystride := n + r.IntN(5)
	p.y = guardedSlice((rows-1)*ystride + n)
	p.linear = Linear{Rows: rows, X: p.x.data, XStride: stride, Y: p.y.data, YStride: ystride}
	if r.IntN(4) > 0 {
		p.linear.Bias = matrix(r, 1, n, n).data
	}
	return p
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// csrScratch is lent at any alignment. It begins as NaN, and keeps what the last product left.
var csrScratch = guardedSlice(CSRScratch() + lanes)

// run computes the panels in two calls by the named layout and returns Y [rows,n].
func (p *product) run(t *testing.T, table *Table, form string) []float32 {
	t.Helper()
	for i := range p.y.data {
		p.y.data[i] = nan
	}
	last := layout.Blocks(p.n)
	for _, cut := range [][2]int{{0, last / 3}, {last / 3, last}} {
		switch form {
		case "dense":
			table.Dense(&p.linear, p.panels, cut[0], cut[1])
		case "tiles":
			table.Tiles(&p.linear, p.tiles, cut[0], cut[1])
		case "csr":
			table.CSR(&p.linear, p.csr, cut[0], cut[1], csrScratch.data[(p.rows+1)%lanes:][:CSRScratch():CSRScratch()])
		}
	}
	csrScratch.check(t, "scratch")
	p.y.check(t, fmt.Sprint(form, " ", table.level, p.rows, p.n, p.k))
	out := make([]float32, 0, p.rows*p.n)
	for r := range p.rows {
		row := p.y.data[r*p.linear.YStride:]
		out = append(out, row[:p.n]...)
		for i := p.n; i < p.linear.YStride && r+1 < p.rows; i++ {
			if math.Float32bits(row[i]) != math.Float32bits(nan) {
				t.Fatalf("%s %s [%d %d %d]: wrote between rows", form, table.level, p.rows, p.n, p.k)
			}
		}
	}
	return out
}

// check compares with sums in float64. A sum of K rounded steps is off by at
// most about K·2⁻²⁴ times the sum of magnitudes, twice that without FMA.
func (p *product) check(t *testing.T, what string, got []float32) {
	t.Helper()
	for r := range p.rows {
		for i := range p.n {
			sum, size := 0.0, 0.0
			if p.linear.Bias != nil {
				sum = float64(p.linear.Bias[i])
				size = math.Abs(sum)
			}
			for k := range p.k {
				v := float64(p.x.data[r*p.linear.XStride+k]) * float64(p.w[i*p.k+k])
				sum, size = sum+v, size+math.Abs(v)
			}
			g := float64(got[r*p.n+i])
			if !(math.Abs(g-sum) <= size*float64(2*p.k+2)/(1<<24)) {
				t.Fatalf("%s [%d %d %d]: y[%d,%d] = %g, want %g", what, p.rows, p.n, p.k, r, i, g, sum)
			}
		}
	}
}

var forms = []string{"dense", "tiles", "csr"}

func productShapes() [][3]int {
	var s [][3]int
	for rows := 1; rows <= 17; rows++ {
		for n := 1; n <= 49; n++ {
			for _, k := range []int{1, 2 + n%3, 4 + rows%4, 15, 16, 17, 18 + (rows+n)%18} {
				s = append(s, [3]int{rows, n, k})
			}
		}
	}
	for k := 0; k <= 35; k++ {
		s = append(s, [3]int{5, 20, k}, [3]int{9, 48, k})
	}
	s = append(s, [3]int{33, 70, 300}, [3]int{64, 96, 129}, [3]int{100, 40, 1537}, [3]int{250, 33, 1024})
	// The ends of stripes of inputs, blocks of tokens and groups of panels of csr.
	return append(s, [3]int{96, 384, 64}, [3]int{97, 385, 65}, [3]int{15, 400, 63}, [3]int{81, 18, 128}, [3]int{193, 35, 129}, [3]int{96, 769, 127})
}

// TestProducts: each level and layout is right, dense, tiles and CSR have the
// same bits, and so have AVX2 and AVX-512.
func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i, s := range productShapes() {
		if (testing.Short() || raceEnabled) && i%7 != 0 {
			continue
		}
		p := newProduct(r, s[0], s[1], s[2])
		var fused []float32
		for _, table := range tables() {
			dense := p.run(t, table, "dense")
			p.check(t, table.level.String(), dense)
			for _, form := range forms[1:] {
				if !sameBits(dense, p.run(t, table, form)) {
					t.Fatalf("%s %v: %s and dense differ", table.level, s, form)
				}
			}
			if table.level == AVX2 {
				fused = dense
			} else if table.level == AVX512 && !sameBits(fused, dense) {
				t.Fatalf("%v: AVX2 and AVX-512 differ", s)
			}
		}
	}
}

// TestProductRowsAreIndependent: a row alone gives the bits it has in a batch.
func TestProductRowsAreIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for rows := 1; rows <= 103; rows += 6 {
		p := newProduct(r, rows, 35, 77)
		for _, table := range tables() {
			for _, form := range forms {
				all := p.run(t, table, form)
				for i := range rows {
					one := *p
					one.rows, one.linear.Rows = 1, 1
					one.linear.X = p.linear.X[i*p.linear.XStride:]
					if !sameBits(all[i*p.n:(i+1)*p.n], one.run(t, table, form)) {
						t.Fatalf("%s %s: row %d of %d has other bits alone", form, table.level, i, rows)
					}
				}
			}
		}
	}
}

// TestEpilogue: scale, activation and residual after any product are the
// separate operations, to the bit.
func TestEpilogue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, s := range [][3]int{{1, 1, 4}, {3, 16, 5}, {9, 50, 33}, {13, 48, 20}, {40, 35, 17}} {
		p := newProduct(r, s[0], s[1], s[2])
		for _, table := range tables() {
			plain := p.run(t, table, "dense")
			for a := NoActivation; a <= Tanh; a++ {
				for i, scaled := range []int{0, 1, 16, 20, s[1], 1, 16, 20, s[1]} {
					q := *p
					q.linear.Activation, q.linear.Scaled, q.linear.Scale = a, min(scaled, s[1]), 0.37
					if i < 5 { // the others have no residual
						res := matrix(r, s[0], s[1], s[1]+3)
						q.linear.Residual, q.linear.ResidualStride = res.data, s[1]+3
					}
					want := q.epilogue(table, plain)
					for _, form := range forms {
						if !sameBits(want, q.run(t, table, form)) {
							t.Fatalf("%s %s %v: activation %d, %d scaled: epilogue differs", form, table.level, s, a, scaled)
						}
					}
				}
			}
		}
	}
}

func (p *product) epilogue(table *Table, plain []float32) []float32 {
	want := make([]float32, len(plain), len(plain)+lanes)
	for i, v := range plain {
		if i%p.n < p.linear.Scaled {
			v *= p.linear.Scale
		}
		want[i] = v
	}
	whole := want[:vectors(len(want))*lanes]
	table.activate(p.linear.Activation, whole, 0, 1, len(whole)/lanes)
	for i := range want {
		if p.linear.Residual == nil {
			break
		}
		want[i] += p.linear.Residual[i/p.n*p.linear.ResidualStride+i%p.n]
	}
	return want
}

// TestProductOutliers: values far apart in size keep the error bound.
func TestProductOutliers(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	p := newProduct(r, 20, 40, 384)
	for i := range p.x.data {
		if i%37 == 0 {
			p.x.data[i] *= 1e6
		}
	}
	for _, table := range tables() {
		p.check(t, table.level.String(), p.run(t, table, "dense"))
	}
}

// TestNaNStaysInItsRow: a NaN in one token reaches that token's row, all of it, and no other.
func TestNaNStaysInItsRow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	p := newProduct(r, 11, 20, 50)
	p.x.data[4*p.linear.XStride+7] = nan
	for _, table := range tables() {
		y := p.run(t, table, "dense")
		for i, v := range y {
			if (v != v) != (i/p.n == 4) {
				t.Fatalf("%s: y[%d,%d] = %g", table.level, i/p.n, i%p.n, v)
			}
		}
	}
}

func TestProductsDoNotAllocate(t *testing.T) {
	p := newProduct(rand.New(rand.NewPCG(6, 1)), 20, 35, 40)
	scratch := make([]float32, CSRScratch())
	for _, table := range tables() {
		if n := testing.AllocsPerRun(10, func() {
			table.Dense(&p.linear, p.panels, 0, 3)
			table.Tiles(&p.linear, p.tiles, 0, 3)
			table.CSR(&p.linear, p.csr, 0, 3, scratch)
		}); n != 0 {
			t.Errorf("%s: %g allocations", table.level, n)
		}
	}
}

// TestCSRMasks: rows side by side with no value, all, the first or the last of
// a stripe are right in any order, for each width of the block of tokens.
func TestCSRMasks(t *testing.T) {
	keep := []func(c int) bool{
		func(int) bool { return false }, func(int) bool { return true },
		func(c int) bool { return c%layout.Stripe == 0 }, func(c int) bool { return c%layout.Stripe == layout.Stripe-1 },
	}
	r := rand.New(rand.NewPCG(8, 1))
	for rows := 1; rows <= 7*lanes; rows += lanes {
		p := newProduct(r, rows, 70, 131)
		for i := range p.n {
			kept := keep[r.IntN(len(keep))]
			for c := range p.k {
				p.w[i*p.k+c] = 0
				if kept(c) {
					p.w[i*p.k+c] = r.Float32() + 1
				}
			}
		}
		layout.PackPanels(bytesOf(p.panels.Values), p.w, p.n, p.k)
		p.csr = must(layout.CheckCSR(p.n, p.k, alignedBytes(layout.PackCSR(p.w, p.n, p.k))))
		for _, table := range tables() {
			if !sameBits(p.run(t, table, "dense"), p.run(t, table, "csr")) {
				t.Errorf("%s: %d tokens: csr and dense differ", table.level, rows)
			}
		}
	}
}

// TestSparse24RunsAsCSR: the 2:4 form expands to what the csr kernel takes.
func TestSparse24RunsAsCSR(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	p := newProduct(r, 10, 20, 43)
	for i := range p.w {
		if i%p.k%4 == 1 || i%p.k%4 == 2 {
			p.w[i] = 0
		}
	}
	w := must(layout.CheckSparse24(p.n, p.k, alignedBytes(layout.PackSparse24(p.w, p.n, p.k))))
	p.csr = w.Expand()
	for _, table := range tables() {
		p.check(t, "2:4 "+table.level.String(), p.run(t, table, "csr"))
	}
	if len(p.csr.Values) == 0 || slices.Contains(p.csr.Values, 0) {
		t.Error("expansion is empty or holds zeros")
	}
}

// TestCutAll gives the blocks that cut gives one after another.
func TestCutAll(t *testing.T) {
	for most := 1; most <= maxRows; most++ {
		for items := 1; items <= 100; items++ {
			all, left := cutAll(items, most), items
			for i := range all.count {
				want := cut(left, most)
				if got := all.size(i); got != want || got < 1 || got > most {
					t.Fatalf("%d items, at most %d: block %d has %d, want %d", items, most, i, got, want)
				}
				left -= want
			}
			if left != 0 {
				t.Fatalf("%d items, at most %d: %d are left", items, most, left)
			}
		}
	}
}

// TestLookahead: what blocks ask for lies in the panel, and most of it is asked for.
func TestLookahead(t *testing.T) {
	for _, k := range []int{0, 1, 3, 16, 100, 384, 1536} {
		for rows := 1; rows < 300; rows++ {
			cuts := cutAll(rows, maxRows)
			a := cuts.lookahead(k)
			lines := map[int]bool{}
			for b := range cuts.count {
				for i := range k {
					at := 4*a.from(b) + i*a.stride
					if at >= k*vectorBytes {
						t.Fatalf("k %d, %d rows: block %d asks for byte %d of %d", k, rows, b, at, k*vectorBytes)
					}
					lines[at/vectorBytes] = true
				}
			}
			if k >= 100 && 10*len(lines) < 8*k {
				t.Errorf("k %d, %d rows: %d of %d lines", k, rows, len(lines), k)
			}
		}
	}
}
