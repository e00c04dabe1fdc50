package irtest_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/pass"
)

// TestRandomGraphsCoverModels checks that random graphs verify at the model
// level, evaluate to finite numbers on odd lengths, repeat, and between them
// hold every model operator and output kind that a frontend emits.
func TestRandomGraphsCoverModels(t *testing.T) {
	kinds, outputs := map[ir.Kind]bool{}, map[ir.When]bool{}
	for seed := range uint64(60) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0)))
		if err := ir.Verify(g, ir.Model); err != nil {
			t.Fatal(err)
		}
		if again := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0))); ir.Print(again) != ir.Print(g) {
			t.Fatalf("seed %d gives two graphs", seed)
		}
		for _, op := range g.Ops {
			kinds[op.Kind] = true
		}
		for _, o := range g.Outputs {
			outputs[o.When] = true
		}
		out, err := interp.Run(g, irtest.RandomInputs(rand.New(rand.NewPCG(seed, 1)), g))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for name, a := range out {
			if len(a.F) == 0 || slices.ContainsFunc(a.F, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) {
				t.Fatalf("seed %d: output %q is empty or not finite", seed, name)
			}
		}
	}
	for _, k := range ir.Kinds() {
		// Gather and scatter come from passes only.
		if k.Is(ir.Model) && !kinds[k] && k != ir.Gather && k != ir.Scatter {
			t.Errorf("no random graph holds %v", k)
		}
	}
	if len(outputs) != 3 {
		t.Errorf("kinds of outputs: %v, want 3", outputs)
	}
}

func TestInputsFitTables(t *testing.T) {
	g := irtest.Load(t, `graph "g"
%0 = input {name="ids"} : i32[T]
%1 = input {name="positions"} : i32[T]
%2 = weight {name="W"} : f32[3,2]
%3 = weight {name="P"} : f32[5,2]
%4 = embed(%0, %1, _, %2, %3, _) : f32[T,2]
%5 = input {name="x"} : f32[B,4]
`)
	for seed := range uint64(50) {
		in := irtest.RandomInputs(rand.New(rand.NewPCG(seed, 0)), g)
		for b := range len(in.Offsets) - 1 {
			if n := in.Offsets[b+1] - in.Offsets[b]; n < 1 || n > 5 {
				t.Fatalf("row of %d tokens, 5 positions", n)
			}
		}
		if slices.Max(in.IDs) > 2 || slices.Max(in.Positions) > 4 {
			t.Fatalf("ids %v positions %v", in.IDs, in.Positions)
		}
		if x := in.Extra["x"]; x.Shape[0] != len(in.Offsets)-1 || len(x.F) != 4*x.Shape[0] {
			t.Fatalf("x is %v", x.Shape)
		}
	}
}

const directives = `graph "g"
%0 = weight {name="R"} : f32[6,3]
%1 = weight {name="C"} : f32[3,5]
%2 = weight {name="S"} : f32[17,18]
%3 = weight {name="N"} : f32[2,6]
%4 = weight {name="A"} : f32[2,2]
%5 = weight {name="V"} : f32[4]
# zero rows R 1 3-4
# zero cols C 0 4
# zero tiles S 1,0
# zero nm24 N
# zero all A
# rows V 1-2 = 0.5
# all of this is prose, and so is that
`

func TestDirectivesShapeZeros(t *testing.T) {
	g := irtest.Load(t, directives)
	zero := map[string]func(i, j int) bool{
		"R": func(i, j int) bool { return i == 1 || i == 3 || i == 4 },
		"C": func(i, j int) bool { return j == 0 || j == 4 },
		"S": func(i, j int) bool { return i == 16 && j < 16 },
		"A": func(i, j int) bool { return true },
	}
	for _, op := range g.Ops {
		data, _ := op.Result().Data()
		v, name, shape := data.Float64s(), op.Result().WeightName(), data.Shape
		for i := 0; len(shape) == 2 && i < shape[0]; i++ {
			row := v[i*shape[1] : (i+1)*shape[1]]
			for j, x := range row {
				if f := zero[name]; f != nil && f(i, j) != (x == 0) {
					t.Errorf("%s[%d,%d] is %v", name, i, j, x)
				}
			}
			if name == "N" {
				nonZero := slices.DeleteFunc(slices.Clone(row[:4]), func(x float64) bool { return x == 0 })
				if len(nonZero) != 2 || row[4] == 0 || row[5] == 0 {
					t.Errorf("N row %d: %v", i, row)
				}
			}
		}
		if name == "V" && (v[0] == 0.5 || v[1] != 0.5 || v[2] != 0.5 || v[3] == 0.5) {
			t.Errorf("V: %v", v)
		}
	}
	if ir.Print(irtest.Load(t, directives)) != ir.Print(g) {
		t.Error("values differ between two loads")
	}
}

// failures runs f on a recorder of its own goroutine and returns what it said.
func failures(f func(t testing.TB)) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(done)
		f(r)
	}()
	<-done
	return r.text.String()
}

func TestWrongDirectivesFail(t *testing.T) {
	for _, line := range []string{
		"# zero", "# zero row R 1", "# zero rows R", "# zero rows Q 1", "# zero rows R 6", "# zero rows R 2-1", "# zero rows R -1",
		"# zero cols R 3", "# zero tiles R 0,1", "# zero tiles R 1", "# zero all R 1", "# zero nm24 R 1", "# rows R 1 = x", "# zero rows R 1x",
	} {
		got := failures(func(t testing.TB) { irtest.Load(t, "graph \"g\"\n%0 = weight {name=\"R\"} : f32[6,3]\n"+line+"\n") })
		if !strings.HasPrefix(got, line+": ") {
			t.Errorf("%s: %q", line, got)
		}
	}
}

const twoInputs = `graph "g"
%0 = input {name="x0"} : f32[T,2]
%1 = input {name="x1"} : f32[T,2]
`

// TestEquivalentSeesDifferences checks the checker.
func TestEquivalentSeesDifferences(t *testing.T) {
	base := twoInputs + "%2 = add(%0, %1) : f32[T,2]\noutput \"y\" %2\ntap \"z\" %0\n"
	for want, after := range map[string]string{
		"":                      twoInputs + "%2 = add(%1, %0) : f32[T,2]\noutput \"y\" %2\n",
		`output "y": element 0`: twoInputs + "%2 = add(%1, %1) : f32[T,2]\noutput \"y\" %2\n",
		`output "z": element 0`: twoInputs + "%2 = add(%1, %0) : f32[T,2]\noutput \"y\" %2\ntap \"z\" %1\n",
		`output "y" is gone`:    twoInputs + "tap \"z\" %0\n",
		`ondemand "y" was`:      twoInputs + "%2 = add(%1, %0) : f32[T,2]\nondemand \"y\" %2\n",
		`output "w" was`:        twoInputs + "%2 = add(%1, %0) : f32[T,2]\noutput \"y\" %2\noutput \"w\" %2\n",
	} {
		got := failures(func(r testing.TB) { irtest.Equivalent(r, irtest.Load(t, base), irtest.Load(t, after), 1) })
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestCloseBounds(t *testing.T) {
	array := func(v ...float64) *interp.Array { return &interp.Array{Shape: []int{len(v)}, F: v} }
	for _, c := range []struct {
		got, want *interp.Array
		close     bool
	}{
		{array(1, 1.0009), array(1, 1), true},
		{array(1, 1.002), array(1, 1), false},
		{array(1000, 1.9), array(1000, 1), true},
		{array(math.NaN()), array(1), false},
		{array(1), array(math.NaN()), false},
		{array(math.Inf(1)), array(math.Inf(1)), true},
		{array(math.Inf(-1)), array(math.Inf(1)), false},
		{array(5, 1), array(math.Inf(1), 1), false},
		{array(1, 2), array(1), false},
		{&interp.Array{Shape: []int{1}, I: []int{2}}, &interp.Array{Shape: []int{1}, I: []int{3}}, false},
	} {
		said := failures(func(t testing.TB) { irtest.Close(t, c.got, c.want, 1e-3) })
		if (said == "") != c.close {
			t.Errorf("%v, want %v: %q", c.got.F, c.want.F, said)
		}
	}
}

// swapAdd stands for a pass: add(x, y) becomes add(y, x).
var swapAdd = pass.Pass{Name: "swap-add", Run: func(g *ir.Graph) int {
	n := 0
	for _, op := range g.Ops {
		if op.Kind == ir.Add {
			op.Args[0], op.Args[1] = op.Args[1], op.Args[0]
			n++
		}
	}
	return n
}}

func TestRewriteRunsCases(t *testing.T) { irtest.Rewrite(t, "testdata/rewrite.txtar", swapAdd) }

// TestUpdateRewritesAfter breaks a case in a copy and has -update mend it.
func TestUpdateRewritesAfter(t *testing.T) {
	want, err := os.ReadFile("testdata/rewrite.txtar")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "case.txtar")
	broken := strings.ReplaceAll(string(want), "add(%0, %2)", "add(%2, %0)")
	if err := os.WriteFile(file, []byte(broken), 0o666); err != nil {
		t.Fatal(err)
	}
	set := func(v string) {
		if err := flag.Set("update", v); err != nil {
			t.Fatal(err)
		}
	}
	set("true")
	defer set("false")
	irtest.Rewrite(t, file, swapAdd)
	if got, _ := os.ReadFile(file); string(got) != string(want) {
		t.Errorf("-update wrote\n%s", got)
	}
}
