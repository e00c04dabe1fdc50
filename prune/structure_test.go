package prune_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"etc/ir"
	"etc/ir/sparse"
	"etc/prune"
)

// TestZerosHaveTheStructure prunes graphs without zeros, so that every zero
// is the method's.
func TestZerosHaveTheStructure(t *testing.T) {
	found := map[string]int{}
	eachMethod(t, 12, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, false)
		c, _ := fixed(t, g, nil, m, 0.05+0.5*rng.Float64())
		if c == nil {
			return
		}
		found[m.Name]++
		name := structureOf(m)
		heads := -1 // the same number in every layer
		for _, b := range blocksOf(c) {
			n := checkBlock(t, name, b)
			if b.o != nil && (name == "heads" || name == "structured") {
				if heads >= 0 && n != heads {
					t.Errorf("%d heads of one layer went, %d of another", n, heads)
				}
				heads = n
			}
		}
	})
	for _, m := range methods(t) {
		if found[m.Name] < 5 {
			t.Errorf("method %s reached its sparsity on %d graphs only", m.Name, found[m.Name])
		}
	}
}

// dead lists which rows and columns of a matrix are zero, and which outputs
// lost their bias too.
type dead struct{ rows, columns, dropped []bool }

func deadOf(op *ir.Op) dead {
	w := attrs(op.Arg("w")).Data
	d := dead{sparse.ZeroRows(w), sparse.ZeroColumns(w), sparse.ZeroRows(w)}
	for i, b := range values(op, "b") {
		d.dropped[i] = d.dropped[i] && b == 0
	}
	return d
}

// checkBlock checks the structure and returns how many heads are gone.
func checkBlock(t *testing.T, method string, b block) int {
	t.Helper()
	switch method {
	case "tiles", "et-tile", "balanced-tiles", "nm", "elements":
		for _, op := range b.all {
			checkEntries(t, method, op)
		}
		return 0
	case "et-aware1", "et-aware2":
		checkAware(t, method, b)
		return 0
	}
	if b.o == nil {
		in, out := deadOf(b.in), deadOf(b.out)
		same(t, "rows of W1 and columns of W2", in.dropped, out.columns)
		onlyLines(t, b.in, in.dropped, pick(method == "columns", in.columns))
		onlyLines(t, b.out, pick(method == "rows", out.rows), out.columns)
		return 0
	}
	q, k, v, o := deadOf(b.q), deadOf(b.k), deadOf(b.v), deadOf(b.o)
	same(t, "rows of W_Q and W_K", q.dropped, k.dropped)
	same(t, "rows of W_V and columns of W_O", v.dropped, o.columns)
	columns := pick(method == "columns", q.columns)
	same(t, "columns of W_Q and W_V", q.columns, v.columns)
	onlyLines(t, b.q, q.dropped, columns)
	onlyLines(t, b.k, k.dropped, columns)
	onlyLines(t, b.v, v.dropped, columns)
	onlyLines(t, b.o, pick(method == "rows", o.rows), o.columns)
	gone := 0
	for h := range b.heads {
		scores, values := count(q.dropped[h*b.d:(h+1)*b.d]), count(v.dropped[h*b.dv:(h+1)*b.dv])
		switch method {
		case "heads", "structured":
			if scores != 0 && scores != b.d || values*b.d != scores*b.dv {
				t.Errorf("head %d lost %d of %d and %d of %d features", h, scores, b.d, values, b.dv)
			}
			gone += scores / b.d
		case "widths", "rows", "columns":
			if scores != count(q.dropped[:b.d]) || values != count(v.dropped[:b.dv]) || scores == b.d || values == b.dv {
				t.Errorf("head %d lost %d of %d and %d of %d features, the first %d and %d", h, scores, b.d, values, b.dv, count(q.dropped[:b.d]), count(v.dropped[:b.dv]))
			}
		}
	}
	return gone
}

// checkAware checks E.T.'s structures that know how attention is computed.
func checkAware(t *testing.T, method string, b block) {
	t.Helper()
	none := func(op *ir.Op) []bool {
		_, k := shape(op)
		return make([]bool, k)
	}
	if b.o == nil {
		checkTiles(t, b.in, none(b.in))
		checkTiles(t, b.out, none(b.out))
		return
	}
	checkTiles(t, b.q, none(b.q))
	checkTiles(t, b.k, none(b.k))
	v, o := deadOf(b.v), deadOf(b.o)
	onlyLines(t, b.v, v.dropped, none(b.v))
	if method == "et-aware2" {
		onlyLines(t, b.v, make([]bool, len(v.rows)), none(b.v))
		onlyLines(t, b.o, o.rows, none(b.o))
		return
	}
	for i, gone := range v.dropped {
		if gone && !o.columns[i] {
			t.Errorf("value %d went, but not what reads it", i)
		}
	}
	checkTiles(t, b.o, v.dropped)
	for h := range b.heads {
		if n, first := count(v.dropped[h*b.dv:(h+1)*b.dv]), count(v.dropped[:b.dv]); n != first || n == b.dv {
			t.Errorf("head %d lost %d of %d values, the first %d", h, n, b.dv, first)
		}
	}
}

// checkTiles checks that, some columns aside, the entries of a tile are zero
// together.
func checkTiles(t *testing.T, op *ir.Op, aside []bool) {
	t.Helper()
	_, k := shape(op)
	zero := map[[2]int]bool{}
	for at, x := range values(op, "w") {
		i, j := at/k, at%k
		if aside[j] {
			continue
		}
		tile := [2]int{i / sparse.Tile, j / sparse.Tile}
		if first, seen := zero[tile]; seen && first != (x == 0) {
			t.Fatalf("%s: entry %d,%d is not as its tile", op.Arg("w").WeightName(), i, j)
		}
		zero[tile] = x == 0
	}
}

func pick(yes bool, marks []bool) []bool {
	if yes {
		return marks
	}
	return make([]bool, len(marks))
}

func count(marks []bool) (n int) {
	for _, m := range marks {
		if m {
			n++
		}
	}
	return n
}

func same(t *testing.T, what string, a, b []bool) {
	t.Helper()
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("%s: %d went on one side only", what, i)
		}
	}
}

// onlyLines checks that no entry outside the rows and columns is zero.
func onlyLines(t *testing.T, op *ir.Op, rows, columns []bool) {
	t.Helper()
	_, k := shape(op)
	for at, x := range values(op, "w") {
		if gone := rows[at/k] || columns[at%k]; gone != (x == 0) {
			t.Fatalf("%s: entry %d,%d is %v", op.Arg("w").WeightName(), at/k, at%k, x)
		}
	}
}

func checkEntries(t *testing.T, method string, op *ir.Op) {
	t.Helper()
	n, k := shape(op)
	w := values(op, "w")
	zero := func(i, j int) bool { return w[i*k+j] == 0 }
	switch method {
	case "tiles", "et-tile":
		checkTiles(t, op, make([]bool, k))
	case "balanced-tiles":
		checkTiles(t, op, make([]bool, k))
		for i := 0; i < n; i += sparse.Tile {
			of, first := 0, 0
			for j := 0; j < k; j += sparse.Tile {
				if zero(i, j) {
					of++
				}
				if zero(0, j) {
					first++
				}
			}
			if of != first {
				t.Fatalf("row %d lost %d tiles, the first %d", i, of, first)
			}
		}
	case "nm":
		all := sparse.Survey(attrs(op.Arg("w")).Data)
		if all.NonZeros != n*k && !all.NM24 {
			t.Fatalf("%d of %d entries stay, but not 2:4", all.NonZeros, n*k)
		}
		if want := n * (k/4*2 + min(k%4, 2)); all.NonZeros != n*k && all.NonZeros != want {
			t.Fatalf("%d entries stay, want %d", all.NonZeros, want)
		}
	case "elements":
		for i := range n {
			row, first := 0, 0
			for j := range k {
				if zero(i, j) {
					row++
				}
				if zero(0, j) {
					first++
				}
			}
			if row != first {
				t.Fatalf("row %d lost %d entries, the first %d", i, row, first)
			}
		}
	}
}

func TestEqualScoresGoByNumber(t *testing.T) {
	for name, goes := range map[string]func(i, j int) bool{
		"nm":       func(_, j int) bool { return j%4 < 2 },
		"elements": func(_, j int) bool { return j < 32 },
		"tiles":    func(i, j int) bool { return i/16*4+j/16 < 8 },
		"et-tile":  func(i, j int) bool { return i/16*4+j/16 < 8 },

		"balanced-tiles": func(_, j int) bool { return j < 32 },
	} {
		g := bertLike(64, 2, 64, 1)
		for _, b := range blocksOf(g) {
			for _, op := range b.all {
				change(op.Arg("w"), func(x []float64) {
					for i := range x {
						x[i] = 0.3
					}
				})
			}
		}
		c, _ := fixed(t, g, nil, method(t, name), 0.5)
		for at, x := range values(blocksOf(c)[1].in, "w") {
			if gone := goes(at/64, at%64); gone != (x == 0) {
				t.Fatalf("%s: entry %d,%d is %v", name, at/64, at%64, x)
			}
		}
	}
}

func TestRowsOfOutputsGo(t *testing.T) {
	c, _ := fixed(t, bertLike(64, 2, 64, 1), nil, method(t, "rows"), 0.3)
	for _, b := range blocksOf(c) {
		op := b.all[len(b.all)-1]
		d := deadOf(op)
		if n := count(d.rows); n < 8 || n > 24 || count(d.dropped) != 0 {
			t.Errorf("%s: %d of 64 rows are zero, %d without their bias", op.Arg("w").WeightName(), n, count(d.dropped))
		}
	}
}

func TestHeadsGoMoreSlowlyThanNeurons(t *testing.T) {
	for _, sparsity := range []float64{0.2, 0.4, 0.6} {
		c, _ := fixed(t, bertLike(160, 20, 640, 1), nil, method(t, "structured"), sparsity)
		b := blocksOf(c)
		heads := float64(count(deadOf(b[0].q).dropped)) / 160
		neurons := float64(count(deadOf(b[1].in).dropped)) / 640
		if math.Abs(heads-0.4*neurons) > 0.5/20+0.4*0.5/40 { // each is rounded to whole steps
			t.Errorf("sparsity %v: %v of the heads and %v of the neurons went", sparsity, heads, neurons)
		}
	}
}

// TestConstantWithoutABiasIsNotFree has constant neurons whose sum nothing
// behind them can take over.
func TestConstantWithoutABiasIsNotFree(t *testing.T) {
	g := bertLike(32, 2, 64, 1)
	b := blocksOf(g)[1]
	for i := range 16 {
		clearRow(b.in, i)
		change(b.in.Arg("b"), func(x []float64) { x[i] = 100 })
	}
	b.out.SetArg("b", nil)
	for _, name := range []string{"neurons", "neurons:energy"} {
		c, _ := fixed(t, g, nil, method(t, name), 0.1)
		for i, gone := range deadOf(blocksOf(c)[1].out).columns {
			if gone && i < 16 {
				t.Errorf("%s: neuron %d, which is 100 for every token, went", name, i)
			}
		}
	}
}
