package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"etc/formats/plan/layout"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// integerTables are those that this machine supports, at every level; where it
// has AVX-VNNI also those that do without.
func integerTables() []*Table {
	var all []*Table
	for l := Generic; l <= AVX512VNNI; l++ {
		if !Supported(l) {
			continue
		}
		t := For(l)
		all = append(all, t)
		if t.dots && l != AVX512VNNI {
			all = append(all, &Table{level: l})
		}
	}
	return all
}

func (t *Table) integerName() string { return fmt.Sprintf("%v dots %v", t.level, t.dots) }

var integerTypes = map[layout.Int]tensor.DType{layout.Int8: tensor.I8, layout.Int16: tensor.I16}

// An intProduct is one test case: W of one type in both layouts, with some
// tiles zero, and rows of every kind.
type intProduct struct {
	typ           layout.Int
	rows, n, k    int
	x, y          guarded
	w             []float32
	panels, tiles []byte
	linear        Linear
}

// rowKinds change a row of ordinary values.
var rowKinds = []func(r *rand.Rand, x []float32){
	func(*rand.Rand, []float32) {},
	func(_ *rand.Rand, x []float32) { // outliers, the same columns in each row
		for i := 3; i < len(x); i += 29 {
			x[i] *= 20
		}
	},
	func(_ *rand.Rand, x []float32) { scale(x, 1e-41) },                 // denormal
	func(_ *rand.Rand, x []float32) { clear(x) },                        // zero
	func(_ *rand.Rand, x []float32) { scale(x, 1e36) },                  // squares are infinite in float32
	func(_ *rand.Rand, x []float32) { scale(x, 1e-29) },                 // tiny
	func(_ *rand.Rand, x []float32) { scale(x, float32(0x1p-100)) },     // about the size that counts as zero
	func(r *rand.Rand, x []float32) { x[r.IntN(len(x))] = nan },         // all of the row is NaN
	func(r *rand.Rand, x []float32) { x[r.IntN(len(x))] = -infinity() }, // and so here
	func(r *rand.Rand, x []float32) { // one value alone: the largest integer
		v := x[0]
		clear(x)
		x[r.IntN(len(x))] = v
	},
	func(_ *rand.Rand, x []float32) { // halves of a unit: ties
		for i := range x {
			x[i] = float32(i%7) + 0.5
		}
		x[0] = 127
	},
}

func scale(x []float32, by float32) {
	for i := range x {
		x[i] *= by
	}
}

func infinity() float32 { return float32(math.Inf(1)) }

func newIntProduct(r *rand.Rand, typ layout.Int, rows, n, k int) *intProduct {
	p := &intProduct{typ: typ, rows: rows, n: n, k: k, w: make([]float32, n*k)}
	for i := range p.w {
		if (i/k/16+i%k/16)%3 != 1 {
			p.w[i] = float32(r.NormFloat64())
		}
	}
	for i := range n { // some features huge, tiny or zero
		switch r.IntN(12) {
		case 0:
			scale(p.w[i*k:(i+1)*k], 1e12)
		case 1:
			scale(p.w[i*k:(i+1)*k], 1e-12)
		case 2:
			clear(p.w[i*k : (i+1)*k])
		}
	}
	p.panels = alignedBytes(layout.PackIntPanels(typ, p.w, n, k))
	p.tiles = alignedBytes(layout.PackIntTiles(typ, p.w, n, k))
	stride, yStride := k+r.IntN(5), n+r.IntN(5)
	p.x = matrix(r, rows, k, stride)
	for i := range rows {
		if k > 0 {
			rowKinds[r.IntN(len(rowKinds))](r, p.x.data[i*stride:][:k])
		}
	}
	p.y = guardedSlice((rows-1)*yStride + n)
	p.linear = Linear{Rows: rows, X: p.x.data, XStride: stride, Y: p.y.data, YStride: yStride}
	if r.IntN(4) > 0 {
		p.linear.Bias = matrix(r, 1, n, n).data
	}
	return p
}

// weight is W as a table reads it.
func (p *intProduct) weight(table *Table, form string) *IntWeight {
	if form == "tiles" {
		return table.IntTiles(must(layout.CheckIntTiles(p.typ, p.n, p.k, p.tiles)))
	}
	return table.IntPanels(must(layout.CheckIntPanels(p.typ, p.n, p.k, p.panels)))
}

// quantised is the rows of x, in memory that holds no zeros before.
func (p *intProduct) quantised(table *Table) Quantised {
	q := Quantised{Type: p.typ, Stride: table.RowBytes(p.typ, p.k), Units: make([]float32, p.rows)}
	q.Data = make([]byte, p.rows*q.Stride)
	for i := range q.Data {
		q.Data[i] = 0x7e
	}
	for r := range p.rows {
		table.Quantise(&q, r, p.linear.X[r*p.linear.XStride:][:p.k])
	}
	return q
}

// run computes the panels in two calls and returns Y [rows,n].
func (p *intProduct) run(t *testing.T, table *Table, form string) []float32 {
	t.Helper()
	for i := range p.y.data {
		p.y.data[i] = nan
	}
	x, w, last := p.quantised(table), p.weight(table, form), layout.Blocks(p.n)
	table.Integers(&p.linear, x, w, 0, last/3)
	table.Integers(&p.linear, x, w, last/3, last)
	p.y.check(t, fmt.Sprint(form, " ", table.integerName(), p.rows, p.n, p.k))
	var out []float32
	for r := range p.rows {
		row := p.y.data[r*p.linear.YStride:]
		out = append(out, row[:p.n]...)
		for i := p.n; i < p.linear.YStride && r+1 < p.rows; i++ {
			if math.Float32bits(row[i]) != math.Float32bits(nan) {
				t.Fatalf("%s %s [%d %d %d]: wrote between rows", form, table.integerName(), p.rows, p.n, p.k)
			}
		}
	}
	return out
}

// want is Y by the definition: integers and units of ir/interp, the exact sum,
// and what follows rounded to float32 step by step.
func (p *intProduct) want() []float32 {
	quantise := func(x []float32) ([]int, float32) {
		row := make([]float64, len(x))
		for i, v := range x {
			row[i] = float64(v)
		}
		q, unit := interp.Quantise(integerTypes[p.typ], row)
		return q, float32(unit)
	}
	weights, units := make([][]int, p.n), make([]float32, p.n)
	for i := range p.n {
		weights[i], units[i] = quantise(p.w[i*p.k : (i+1)*p.k])
	}
	var want []float32
	for r := range p.rows {
		q, unit := quantise(p.linear.X[r*p.linear.XStride:][:p.k])
		for i := range p.n {
			sum := 0
			for k, v := range q {
				sum += v * weights[i][k]
			}
			if sum != int(int32(sum)) {
				panic("a sum leaves int32")
			}
			y := float32(float32(float32(int32(sum))*units[i]) * unit)
			if p.linear.Bias != nil {
				y += p.linear.Bias[i]
			}
			want = append(want, y)
		}
	}
	return want
}

var intForms = []string{"panels", "tiles"}

// intShapes have every remainder of rows, N and K, over one to three blocks.
func intShapes() []([3]int) {
	var s [][3]int
	for rows := 1; rows <= 3*maxRows+1; rows++ {
		for n := 1; n <= 3*lanes+1; n++ {
			s = append(s, [3]int{rows, n, 1 + (7*rows+5*n)%49})
		}
	}
	for k := 0; k <= 3*lanes+1; k++ {
		for rows := 1; rows <= maxRows; rows++ {
			s = append(s, [3]int{rows, 17, k}, [3]int{rows, 48, k}, [3]int{rows, 96, k})
		}
	}
	return append(s, [3]int{33, 70, 300}, [3]int{64, 96, 129}, [3]int{100, 40, 1537}, [3]int{250, 33, 1024})
}

// TestIntegerProducts: every table and layout has the bits of the definition.
func TestIntegerProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	tables := integerTables()
	for _, table := range tables {
		t.Log(table.integerName())
	}
	for i, s := range intShapes() {
		if (testing.Short() || raceEnabled) && i%7 != 0 {
			continue
		}
		for typ := range integerTypes {
			p := newIntProduct(r, typ, s[0], s[1], s[2])
			want := p.want()
			for _, table := range tables {
				for _, form := range intForms {
					got := p.run(t, table, form)
					for j := range want {
						if !sameBits(got[j:j+1], want[j:j+1]) {
							t.Fatalf("int%d %s %s %v: y[%d,%d] = %v, want %v", 8*typ, table.integerName(), form, s, j/p.n, j%p.n, got[j], want[j])
						}
					}
				}
			}
		}
	}
}

// TestQuantise: integers, units and the zeros behind them are those of the
// definition, for every kind of row and every length.
func TestQuantise(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 6))
	for typ, d := range integerTypes {
		for k := 1; k <= 3*lanes+1; k++ {
			for kind := range rowKinds {
				p := newIntProduct(r, typ, 1, 1, k)
				rowKinds[kind](r, p.x.data)
				row := make([]float64, k)
				for i, v := range p.x.data {
					row[i] = float64(v)
				}
				want, unit := interp.Quantise(d, row)
				packed := make([]int16, k)
				own := typ.Quantise(packed, p.x.data)
				for _, table := range integerTables() {
					q := p.quantised(table)
					if !sameBits(q.Units, []float32{float32(unit)}) || !sameBits([]float32{own}, []float32{float32(unit)}) {
						t.Fatalf("int%d %s: row of kind %d: unit %v, packed %v, want %v", 8*typ, table.integerName(), kind, q.Units[0], own, unit)
					}
					for i := range vectors(k) * lanes {
						w := 0
						if i < k {
							w = want[i]
							if int(packed[i]) != w {
								t.Fatalf("int%d: row of kind %d: packed integer %d is %d, want %d", 8*typ, kind, i, packed[i], w)
							}
						}
						if got := integerAt(table, typ, q.Data, i); got != w {
							t.Fatalf("int%d %s: row of kind %d, %d long: integer %d is %d, want %d", 8*typ, table.integerName(), kind, k, i, got, w)
						}
					}
				}
			}
		}
	}
}

// integerAt is integer i of a row.
func integerAt(table *Table, typ layout.Int, b []byte, i int) int {
	switch {
	case table.integerBytes(typ) == 1:
		return int(b[i]) - unsignedZero
	case typ == layout.Int8:
		i = i&^3 + wideOrder[i&3]
	}
	return int(layout.Int16.At(b, i))
}

// TestLargestIntegerSums: the sums that come closest to leaving int32.
func TestLargestIntegerSums(t *testing.T) {
	for typ := range integerTypes {
		for _, k := range []int{1, 7, 1000, layout.Most8Inputs} {
			p := &intProduct{typ: typ, rows: 2, n: 3, k: k, w: make([]float32, 3*k), x: guardedSlice(2 * k), y: guardedSlice(6)}
			for i := range k {
				p.w[i], p.w[k+i], p.w[2*k+i] = 1, -1, float32(i&1*2-1)
				p.x.data[i], p.x.data[k+i] = 3, float32(i&1*2-1)
			}
			p.panels = alignedBytes(layout.PackIntPanels(typ, p.w, 3, k))
			p.tiles = alignedBytes(layout.PackIntTiles(typ, p.w, 3, k))
			p.linear = Linear{Rows: 2, X: p.x.data, XStride: k, Y: p.y.data, YStride: 3}
			want := p.want()
			for _, table := range integerTables() {
				for _, form := range intForms {
					if got := p.run(t, table, form); !sameBits(got, want) {
						t.Errorf("int%d %s %s, %d inputs: %v, want %v", 8*typ, table.integerName(), form, k, got, want)
					}
				}
			}
		}
	}
}

// TestIntegerRowsAreIndependent: a row alone gives the bits it has in a batch.
func TestIntegerRowsAreIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 6))
	for typ := range integerTypes {
		for rows := 1; rows <= 103; rows += 6 {
			p := newIntProduct(r, typ, rows, 83, 77)
			for _, table := range integerTables() {
				for _, form := range intForms {
					all := p.run(t, table, form)
					for i := range rows {
						one := *p
						one.rows, one.linear.Rows = 1, 1
						one.linear.X = p.linear.X[i*p.linear.XStride:]
						if !sameBits(all[i*p.n:(i+1)*p.n], one.run(t, table, form)) {
							t.Fatalf("int%d %s %s: row %d of %d has other bits alone", 8*typ, table.integerName(), form, i, rows)
						}
					}
				}
			}
		}
	}
}

// TestIntegerEpilogue: scale, activation and residual after a product are the
// separate operations, to the bit.
func TestIntegerEpilogue(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 6))
	for typ := range integerTypes {
		for _, s := range [][3]int{{1, 1, 4}, {3, 16, 5}, {9, 50, 33}, {13, 48, 20}, {40, 35, 17}} {
			p := newIntProduct(r, typ, s[0], s[1], s[2])
			for _, table := range integerTables() {
				plain := p.run(t, table, "panels")
				for a := NoActivation; a <= Tanh; a++ {
					for _, scaled := range []int{0, 1, 16, 20, s[1]} {
						q := *p
						q.linear.Activation, q.linear.Scaled, q.linear.Scale = a, min(scaled, s[1]), 0.37
						res := matrix(r, s[0], s[1], s[1]+3)
						q.linear.Residual, q.linear.ResidualStride = res.data, s[1]+3
						separate := product{rows: q.rows, n: q.n, linear: q.linear}
						want := separate.epilogue(table, plain)
						for _, form := range intForms {
							if !sameBits(want, q.run(t, table, form)) {
								t.Fatalf("int%d %s %s %v: activation %d, %d scaled: epilogue differs", 8*typ, table.integerName(), form, s, a, scaled)
							}
						}
					}
				}
			}
		}
	}
}

// TestIntegerError: against exact products of the float32 values, the error is
// what rounding to the units gives: each factor off by half a unit at most.
func TestIntegerError(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, n, k = 4, 30, 384
	for typ, most := range map[layout.Int]float64{layout.Int16: 3e-4, layout.Int8: 1.5e-2} {
		p := newIntProduct(r, typ, rows, n, k)
		p.linear.Bias = nil
		for i := range p.w {
			p.w[i] = float32(r.NormFloat64())
		}
		for i := range rows {
			for j := range k {
				p.linear.X[i*p.linear.XStride+j] = float32(r.NormFloat64())
			}
		}
		p.panels = alignedBytes(layout.PackIntPanels(typ, p.w, n, k))
		got := p.run(t, For(Best()), "panels")
		wrong, size := 0.0, 0.0
		for i := range rows {
			for j := range n {
				y := 0.0
				for c := range k {
					y += float64(p.linear.X[i*p.linear.XStride+c]) * float64(p.w[j*k+c])
				}
				wrong += math.Pow(float64(got[i*n+j])-y, 2)
				size += y * y
			}
		}
		rms := math.Sqrt(wrong / size)
		t.Logf("int%d: rms error %.3g of the rms result", 8*typ, rms)
		if !(rms <= most) {
			t.Errorf("int%d: rms error %.3g, want at most %g", 8*typ, rms, most)
		}
	}
}

func TestIntegersDoNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for typ := range integerTypes {
		p := newIntProduct(r, typ, 20, 35, 40)
		for _, table := range integerTables() {
			q, panels, tiles := p.quantised(table), p.weight(table, "panels"), p.weight(table, "tiles")
			if n := testing.AllocsPerRun(10, func() {
				table.Quantise(&q, 0, p.linear.X[:p.k])
				table.Integers(&p.linear, q, panels, 0, 3)
				table.Integers(&p.linear, q, tiles, 0, 3)
			}); n != 0 {
				t.Errorf("int%d %s: %g allocations", 8*typ, table.integerName(), n)
			}
		}
	}
}
