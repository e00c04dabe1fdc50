package prune_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/sparse"
	"etc/ir/tensor"
	"etc/prune"
)

const unreachable = fault.Unreachable

func checkFault(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Fatalf("got error %v, want one of kind %d with %q", err, kind, text)
	}
}

// methods are all structures by their own criteria, and some by another.
func methods(t *testing.T) []prune.Method {
	t.Helper()
	all := prune.Methods()
	for _, name := range []string{"structured:flap", "heads:energy", "widths:energy", "rows:wanda", "columns:obs", "tiles:obs", "balanced-tiles:magnitude", "nm:energy", "et-aware1:obs"} {
		all = append(all, method(t, name))
	}
	return all
}

// eachMethod runs test for every method on random graphs.
func eachMethod(t *testing.T, graphs int, test func(t *testing.T, m prune.Method, rng *rand.Rand)) {
	for _, m := range methods(t) {
		t.Run(m.Name, func(t *testing.T) {
			for seed := range graphs {
				test(t, m, rand.New(rand.NewPCG(uint64(seed), 4)))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// unit is the most entries that one unit of each group of a method has.
func unit(g *ir.Graph, method string) int {
	sum, largest := 0, 0
	for _, b := range blocksOf(g) {
		if b.o != nil {
			hidden, _ := shape(b.o)
			_, in := shape(b.q)
			head := 2*b.d*in + b.dv*in + b.dv*hidden
			feature := b.heads * (3*in + hidden)
			sum += map[string]int{"heads": head, "structured": head, "widths": feature, "narrow": feature,
				"et-aware1": feature, "et-aware2": b.heads * b.dv, "rows": feature + b.heads*b.dv, "columns": feature + b.heads*(2*b.d+b.dv)}[method]
		} else {
			inner, in := shape(b.in)
			hidden, _ := shape(b.out)
			neurons := 16 * (in + hidden)
			sum += map[string]int{"neurons": neurons, "structured": neurons, "narrow": neurons,
				"rows": neurons + inner, "columns": neurons + inner}[method]
		}
		for _, op := range b.all {
			n, k := shape(op)
			largest = max(largest, n*k)
			tile := sparse.Tile * sparse.Tile
			sum += map[string]int{"tiles": tile, "et-tile": tile, "et-aware1": tile, "et-aware2": tile, "balanced-tiles": sparse.Tile * n, "elements": n}[method]
		}
	}
	if method == "nm" {
		return largest
	}
	return sum
}

func TestSparsityIsReachedByNoMoreThanAUnit(t *testing.T) {
	eachMethod(t, 8, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, rng.IntN(2) == 0)
		before, total := zeroShare(g)
		for _, sparsity := range []float64{0, 0.1, 0.25, 0.4, 0.6, 0.9} {
			c, r := fixed(t, g, nil, m, sparsity)
			if c == nil {
				continue
			}
			zeros, _ := zeroShare(c)
			want := int(math.Ceil(sparsity * float64(total)))
			if zeros < want || zeros >= max(before+1, want+unit(g, structureOf(m))) {
				t.Errorf("sparsity %v: %d zeros of %d, %d before, want %d and less than a unit of %d more", sparsity, zeros, total, before, want, unit(g, structureOf(m)))
			}
			if got := float64(zeros) / float64(total); r.Sparsity != got {
				t.Errorf("recipe says sparsity %v, is %v", r.Sparsity, got)
			}
		}
	})
}

// TestCalibratedSparsityIsReached has zeros in the graph, which least squares
// must not fill: they count.
func TestCalibratedSparsityIsReached(t *testing.T) {
	eachMethod(t, 4, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, true)
		stats, _ := calibrate(t, g, irtest.InputsOf(rng, g, 1, 5, 3))
		_, total := zeroShare(g)
		sparsity := 0.5 * rng.Float64()
		c, r := fixed(t, g, stats, m, sparsity)
		if c == nil {
			return
		}
		zeros, _ := zeroShare(c)
		if got := float64(zeros) / float64(total); got < sparsity || r.Sparsity != got {
			t.Errorf("sparsity %v, recipe says %v, want %v", got, r.Sparsity, sparsity)
		}
		before := blocksOf(g)
		records := r.Matrices
		for i, b := range blocksOf(c) {
			for j, op := range b.all {
				_, k := shape(op)
				old := values(before[i].all[j], "w")
				entries := unpack(t, records[0].Mask.Entries, len(old))
				columns := unpack(t, records[0].Mask.Columns, k)
				for at, x := range values(op, "w") {
					if x != 0 && (old[at] == 0 || entries[at] || columns[at%k]) {
						t.Fatalf("%s: entry %d is %v, was %v", records[0].Weight, at, x, old[at])
					}
				}
				records = records[1:]
			}
		}
	})
}

func TestEveryMethodReachesSomething(t *testing.T) {
	reach := map[string]float64{"structured": 0.3, "heads": 0.1, "neurons": 0.1, "widths": 0.2, "narrow": 0.3, "rows": 0.5, "columns": 0.5, "tiles": 0.99, "nm": 0.45, "elements": 0.99, "balanced-tiles": 0.99, "et-tile": 0.99, "et-aware1": 0.9, "et-aware2": 0.85}
	g := bertLike(48, 4, 96, 2)
	for _, m := range prune.Methods() {
		if c, _ := fixed(t, g, nil, m, reach[m.Name]); c == nil || reach[m.Name] == 0 {
			t.Errorf("%s does not reach %v", m.Name, reach[m.Name])
		}
	}
}

func TestZerosAreWhereTheRecipeSays(t *testing.T) {
	eachMethod(t, 8, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, rng.IntN(2) == 0)
		for _, b := range blocksOf(g) { // -0 is a zero that was there
			change(b.all[0].Arg("w"), func(x []float64) { x[rng.IntN(len(x))] = math.Copysign(0, -1) })
		}
		c, r := fixed(t, g, nil, m, 0.3*rng.Float64())
		if c == nil {
			return
		}
		before, after := blocksOf(g), blocksOf(c)
		written := map[*ir.Op]bool{}
		records := r.Matrices
		for i, b := range after {
			for j, op := range b.all {
				checkMatrix(t, before[i].all[j], op, records[0])
				checkMask(t, before[i].all[j], op, records[0])
				records = records[1:]
				written[op.Arg("w").Def] = true
				if bias := op.Arg("b"); bias != nil {
					written[bias.Def] = true
				}
			}
		}
		for i, op := range c.Ops {
			if a, ok := op.Attrs.(*ir.WeightAttrs); ok && !written[op] && !bytes.Equal(a.Data.Data, g.Ops[i].Attrs.(*ir.WeightAttrs).Data.Data) {
				t.Errorf("weight %q changed", a.Name)
			}
		}
	})
}

// checkMatrix compares a pruned matrix with the dense one and its record.
func checkMatrix(t *testing.T, dense, pruned *ir.Op, r prune.Record) {
	t.Helper()
	old, w := attrs(dense.Arg("w")).Data, attrs(pruned.Arg("w")).Data
	if old.DType != w.DType || !slices.Equal(old.Shape, w.Shape) || r.Shape != [2]int(w.Shape) || r.Weight != pruned.Arg("w").WeightName() {
		t.Fatalf("%v became %v, record %+v", old, w, r)
	}
	zeros, size := 0, w.DType.Size()
	for i, x := range w.Float64s() {
		part := w.Data[i*size : (i+1)*size]
		switch {
		case x != 0 && !bytes.Equal(part, old.Data[i*size:(i+1)*size]):
			t.Fatalf("%s: entry %d that stays changed to %v", r.Weight, i, x)
		case x == 0 && !bytes.Equal(part, make([]byte, size)):
			t.Fatalf("%s: zero %d is %x", r.Weight, i, part)
		case x == 0:
			zeros++
		}
	}
	count := func(marks []bool) (n int) {
		for _, m := range marks {
			if m {
				n++
			}
		}
		return n
	}
	rows, columns := count(sparse.ZeroRows(w)), count(sparse.ZeroColumns(w))
	if r.Zeros != zeros || r.Rows != rows || r.Columns != columns {
		t.Errorf("record %+v, want %d zeros, %d rows, %d columns", r, zeros, rows, columns)
	}
}

// checkMask compares the zeros of a pruned matrix with those that were there
// and those of its record.
func checkMask(t *testing.T, dense, pruned *ir.Op, r prune.Record) {
	t.Helper()
	n, k := shape(dense)
	rows, unread, columns, entries := unpack(t, r.Mask.Rows, n), unpack(t, r.Mask.Unread, n), unpack(t, r.Mask.Columns, k), unpack(t, r.Mask.Entries, n*k)
	old, bias := values(dense, "w"), values(pruned, "b")
	for at, x := range values(pruned, "w") {
		i, j := at/k, at%k
		if goes := rows[i] || unread[i] || columns[j] || entries[at]; (x == 0) != (goes || old[at] == 0) {
			t.Fatalf("%s: entry %d,%d is %v, was %v, and goes by the mask: %v", r.Weight, i, j, x, old[at], goes)
		}
	}
	for i, b := range bias {
		if unread[i] && b != 0 {
			t.Errorf("%s: output %d is unread and has a bias", r.Weight, i)
		}
	}
}

// unpack reads the bits of a mask as the recipe describes them.
func unpack(t *testing.T, s string, n int) []bool {
	t.Helper()
	marks := make([]bool, n)
	if s == "" {
		return marks
	}
	deflated, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
	if err != nil || len(packed) != (n+7)/8 {
		t.Fatalf("mask of %d bytes for %d marks: %v", len(packed), n, err)
	}
	for i := range marks {
		marks[i] = packed[i/8]>>(i%8)&1 == 1
	}
	return marks
}

func TestMoreSparsityKeepsTheZeros(t *testing.T) {
	eachMethod(t, 6, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, true)
		var last *ir.Graph
		for sparsity := 0.05; sparsity < 1; sparsity += 0.15 {
			c, _ := fixed(t, g, nil, m, sparsity)
			if c == nil {
				return
			}
			if last != nil {
				checkContained(t, last, c)
			}
			last = c
		}
	})
}

func checkContained(t *testing.T, less, more *ir.Graph) {
	t.Helper()
	after := blocksOf(more)
	for i, b := range blocksOf(less) {
		for j, op := range b.all {
			w := values(after[i].all[j], "w")
			for at, x := range values(op, "w") {
				if x == 0 && w[at] != 0 {
					t.Fatalf("%s: entry %d is zero at less sparsity only", op.Arg("w").WeightName(), at)
				}
			}
		}
	}
}

func TestSameInputsSameBytes(t *testing.T) {
	eachMethod(t, 4, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, true)
		stats, _ := calibrate(t, g, irtest.InputsOf(rng, g, 1, 5, 3))
		a, _ := fixed(t, g, stats, m, 0.2)
		b, _ := fixed(t, g, stats, m, 0.2)
		if a != nil && !bytes.Equal(bytesOf(a), bytesOf(b)) {
			t.Error("two runs differ")
		}
	})
}

func TestDenseGraphIsNotChanged(t *testing.T) {
	eachMethod(t, 4, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		g := randomGraph(rng, true)
		before := bytesOf(g)
		fixed(t, g, nil, m, 0.3) // of a clone, whose bytes are the same
		if !bytes.Equal(bytesOf(g), before) {
			t.Error("bytes that a clone shares were written")
		}
	})
}

func TestRefitKeepsMeans(t *testing.T) {
	refitted := 0
	eachMethod(t, 6, func(t *testing.T, m prune.Method, rng *rand.Rand) {
		if strings.HasSuffix(m.Name, ":magnitude") || strings.HasSuffix(m.Name, ":wanda") { // no repair
			return
		}
		g := randomGraph(rng, false)
		stats, seen := calibrate(t, g, irtest.InputsOf(rng, g, 1, 5, 3))
		c, _ := fixed(t, g, stats, m, 0.4*rng.Float64())
		if c == nil {
			return
		}
		after := blocksOf(c)
		for i, b := range blocksOf(g) {
			for j, op := range b.all {
				if op.Arg("b") == nil || op == b.q && mixes(m) {
					continue
				}
				want, got := means(op, seen[op]), means(after[i].all[j], seen[op])
				bias, old := values(after[i].all[j], "b"), values(op, "b")
				rounding := epsilon(op.Arg("b"))
				for n := range want {
					mayDrop := op != b.o && op != b.out
					if mayDrop && bias[n] == 0 { // nobody reads it
						continue
					}
					if math.Abs(got[n]-want[n]) > 1e-9*(1+math.Abs(want[n]))+rounding*math.Abs(bias[n]) {
						t.Fatalf("%s: mean of output %d is %v, was %v", op.Arg("w").WeightName(), n, got[n], want[n])
					}
					if bias[n] != old[n] {
						refitted++
					}
				}
			}
		}
	})
	if refitted < 1000 {
		t.Errorf("only %d biases were refitted", refitted)
	}
}

// mixes tells whether a method narrows the scores of heads, which makes other
// queries of those that are left.
func mixes(m prune.Method) bool {
	name := structureOf(m)
	return (name == "widths" || name == "narrow" || name == "rows") && (strings.HasSuffix(m.Name, ":energy") || m.Name == name)
}

// epsilon is the most by which rounding to the dtype of a weight changes a
// number, as a part of it.
func epsilon(v *ir.Value) float64 {
	return map[tensor.DType]float64{tensor.F32: 0x1p-24, tensor.F16: 0x1p-11, tensor.BF16: 0x1p-8}[attrs(v).Data.DType]
}

// means are the mean outputs of a linear with a bias.
func means(op *ir.Op, inputs [][]float32) []float64 {
	w, sums := values(op, "w"), values(op, "b")
	_, k := shape(op)
	for i := range sums {
		for _, x := range inputs {
			for j, v := range x {
				sums[i] += w[i*k+j] * float64(v) / float64(len(inputs))
			}
		}
	}
	return sums
}

// TestDeadUnitsGoFirst prunes the least there is to prune where units are
// dead: nothing may change.
func TestDeadUnitsGoFirst(t *testing.T) {
	for name, damage := range map[string]func(rng *rand.Rand, b block){
		"heads":      deadHead,
		"neurons":    deadNeurons,
		"structured": func(rng *rand.Rand, b block) { deadHead(rng, b); deadNeurons(rng, b) },
		"widths":     deadFeatures,
		"rows":       func(rng *rand.Rand, b block) { deadFeatures(rng, b); deadNeurons(rng, b); deadRows(rng, b) },
		"columns":    func(rng *rand.Rand, b block) { deadFeatures(rng, b); deadNeurons(rng, b); deadColumns(rng, b) },
	} {
		t.Run(name, func(t *testing.T) {
			pruned := 0
			for seed := range 80 {
				rng := rand.New(rand.NewPCG(uint64(seed), 5))
				g := randomGraph(rng, false)
				for _, b := range blocksOf(g) {
					inF32(b)
					damage(rng, b)
				}
				in := irtest.InputsOf(rng, g, 1, 5, 3)
				var stats *prune.Statistics
				m := method(t, []string{name, name + ":energy"}[seed/2%2])
				if seed%2 == 0 { // least squares would find a way around few tokens
					m = method(t, name+":flap")
					stats, _ = calibrate(t, g, in)
				}
				zeros, total := zeroShare(g)
				c, _ := fixed(t, g, stats, m, float64(zeros+1)/float64(total))
				if c == nil {
					continue
				}
				pruned++
				checkSame(t, in, g, c)
			}
			if pruned < 20 {
				t.Errorf("only %d graphs were pruned", pruned)
			}
		})
	}
}

// inF32 makes all weights of a block F32.
func inF32(b block) {
	for _, op := range b.all {
		for _, v := range []*ir.Value{op.Arg("w"), op.Arg("b")} {
			if v != nil {
				attrs(v).Data = attrs(v).Data.Convert(tensor.F32)
				v.Type.DType = tensor.F32
			}
		}
	}
}

func deadHead(rng *rand.Rand, b block) {
	if b.o == nil {
		return
	}
	h := rng.IntN(b.heads)
	way := rng.IntN(2)
	for i := h * b.dv; i < (h+1)*b.dv; i++ {
		if way == 0 {
			clearRow(b.v, i) // its bias still comes through
		} else {
			clearColumn(b.o, i)
		}
	}
}

func deadFeatures(rng *rand.Rand, b block) {
	if b.o == nil {
		return
	}
	for h := range b.heads {
		i, j := h*b.d+rng.IntN(b.d), h*b.dv+rng.IntN(b.dv)
		switch rng.IntN(2) {
		case 0:
			clearRow(b.q, i)
			clearBias(b.q, i)
			clearRow(b.v, j)
		default:
			clearRow(b.k, i) // the same for every key, bias or not
			clearColumn(b.o, j)
		}
		// A constant query that weighs a feature of the keys is not dead.
		if b.d > 1 {
			clearRow(b.q, h*b.d+(i+1)%b.d)
		}
	}
}

func deadNeurons(rng *rand.Rand, b block) {
	if b.in == nil {
		return
	}
	n, _ := shape(b.in)
	for _, i := range rng.Perm(n)[:min(16, n)] {
		if rng.IntN(2) == 0 {
			clearRow(b.in, i) // its bias still makes a constant
		} else {
			clearColumn(b.out, i)
		}
	}
}

// deadRows leaves W_O or W2 one row that is not zero.
func deadRows(rng *rand.Rand, b block) {
	last := b.all[len(b.all)-1]
	n, _ := shape(last)
	for _, i := range rng.Perm(n)[1:] {
		clearRow(last, i)
	}
}

// deadColumns leaves the products that read the block's input one column.
func deadColumns(rng *rand.Rand, b block) {
	_, k := shape(b.all[0])
	for _, j := range rng.Perm(k)[1:] {
		for _, op := range b.all[:len(b.all)-1] {
			clearColumn(op, j)
		}
	}
}

func checkSame(t *testing.T, in interp.Inputs, g, c *ir.Graph) {
	t.Helper()
	want, err := interp.Run(g, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := interp.Run(c, in)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range want {
		for i, x := range a.F {
			if y := got[name].F[i]; math.Abs(x-y) > 1e-6*(1+math.Abs(x)) {
				t.Fatalf("output %s, element %d: %v, dense %v", name, i, y, x)
			}
		}
	}
}

// TestCalibrationSteersTheChoice gives the first quarter of the columns larger
// weights and much smaller inputs.
func TestCalibrationSteersTheChoice(t *testing.T) {
	for _, c := range []struct {
		method  string
		product func(g *ir.Graph) *ir.Op
	}{
		{"columns", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].in }},
		{"columns", func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].k }},
		{"elements", func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].q }},
		{"tiles", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"neurons", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"structured", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"heads", func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].o }},
		{"tiles:obs", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"tiles:wanda", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"tiles:flap", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
		{"balanced-tiles", func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].k }},
		{"et-aware1", func(g *ir.Graph) *ir.Op { return blocksOf(g)[0].q }},
		{"et-aware2", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].in }},
		{"structured:energy", func(g *ir.Graph) *ir.Op { return blocksOf(g)[1].out }},
	} {
		t.Run(c.method, func(t *testing.T) {
			m := method(t, c.method)
			g, stats := bertLike(64, 4, 64, 1), &prune.Statistics{}
			for _, b := range blocksOf(g) {
				for _, op := range b.all {
					x := enlargeQuarter(op)
					for j, v := range x { // one after the other: inputs that are independent, of mean zero
						row := make([]float32, len(x))
						for _, row[j] = range []float32{v, -v} {
							stats.Add(op.Arg("w").WeightName(), row)
						}
					}
				}
			}
			product := c.product(g)
			for _, stats := range []*prune.Statistics{nil, stats} {
				pruned, _ := fixed(t, g, stats, m, 0.05)
				_, k := shape(product)
				zeros := 0
				for at, x := range values(c.product(pruned), "w") {
					if x == 0 {
						zeros++
						if quarter := at%k < k/4; quarter != (stats != nil) {
							t.Fatalf("calibrated %v: entry %d,%d went", stats != nil, at/k, at%k)
						}
					}
				}
				if zeros == 0 {
					t.Error("nothing went")
				}
			}
		})
	}
}

// enlargeQuarter multiplies the first quarter of columns and returns inputs
// that more than undo it.
func enlargeQuarter(op *ir.Op) []float32 {
	_, k := shape(op)
	x := make([]float32, k)
	change(op.Arg("w"), func(w []float64) {
		for at := range w {
			x[at%k] = 1
			if at%k < k/4 {
				w[at] *= 4
				x[at%k] = 1.0 / 1024
			}
		}
	})
	return x
}

func TestMethodNames(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range prune.Methods() {
		found, err := prune.MethodNamed(m.Name)
		if err != nil || found.Name != m.Name || m.Doc() == "" || seen[m.Name] {
			t.Errorf("method %q: %v", m.Name, err)
		}
		seen[m.Name] = true
	}
	if m := method(t, "tiles:energy"); m.Name != "tiles" {
		t.Errorf("tiles by their own criterion are called %q", m.Name)
	}
	if m := method(t, "tiles:wanda"); m.Name != "tiles:wanda" {
		t.Errorf("tiles by another are called %q", m.Name)
	}
	_, err := prune.MethodNamed("magic")
	checkFault(t, err, fault.Usage, `pruning method "magic": want one of structured`)
	_, err = prune.MethodNamed("tiles:magic")
	checkFault(t, err, fault.Usage, `criterion "magic" of pruning method "tiles:magic": want one of obs, energy, magnitude`)
}
