package ir_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/tensor"
)

// TestVerifyCases reads testdata/verify/*.ir. The lines before the first
// graph line belong to every case of a file; a case is a graph that verifies,
// or one with "# ERROR regexp", at the level that "# LEVEL model|kernel" names.
func TestVerifyCases(t *testing.T) {
	files, err := filepath.Glob("testdata/verify/*.ir")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	good := map[ir.Kind]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		prelude, cases := splitCases(string(text))
		for _, c := range cases {
			name, _, _ := strings.Cut(c, "\n")
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				if g := verifyCase(t, prelude+c); g != nil {
					for _, op := range g.Ops {
						good[op.Kind] = true
					}
				}
			})
		}
	}
	for _, k := range ir.Kinds() {
		if !good[k] {
			t.Errorf("no case with %v verifies", k)
		}
	}
}

func splitCases(text string) (prelude string, cases []string) {
	for i, part := range strings.Split("\n"+text, "\ngraph ") {
		if i == 0 {
			prelude = part + "\n"
			continue
		}
		cases = append(cases, "graph "+part+"\n")
	}
	return prelude, cases
}

// comment is the text after "# WORD " in a case, "" where there is none.
func comment(text, word string) string {
	for line := range strings.Lines(text) {
		if c, ok := strings.CutPrefix(line, "# "+word+" "); ok {
			return strings.TrimSpace(c)
		}
	}
	return ""
}

// verifyCase returns the graph where it verifies as it should.
func verifyCase(t *testing.T, text string) *ir.Graph {
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	level := map[string]ir.Level{"": ir.Model | ir.Kernel, "model": ir.Model, "kernel": ir.Kernel}[comment(text, "LEVEL")]
	err = ir.Verify(g, level)
	want := comment(text, "ERROR")
	switch {
	case want == "" && err != nil:
		t.Fatal(err)
	case want == "":
		return g
	case err == nil:
		t.Errorf("no error, want %s", want)
	case !regexp.MustCompile(want).MatchString(err.Error()):
		t.Errorf("%v\nwant %s", err, want)
	case !strings.HasPrefix(err.Error(), g.Name+": "):
		t.Errorf("%v\ndoes not begin with the graph's name", err)
	}
	return nil
}

// TestVerifyBrokenGraphs breaks what the text form cannot say.
func TestVerifyBrokenGraphs(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(g *ir.Graph)
		want string
	}{
		{"nothing", func(g *ir.Graph) {}, ""},
		{"use before definition", func(g *ir.Graph) { g.Ops[1], g.Ops[2] = g.Ops[2], g.Ops[1] }, `operand w: %1 is used before it is defined`},
		{"use of a removed value", func(g *ir.Graph) { g.Ops = g.Ops[1:] }, `operand x: %0 is used before it is defined`},
		{"output of a removed value", func(g *ir.Graph) { g.Ops = g.Ops[:2] }, `output "y" is not defined in the graph`},
		{"an operator twice", func(g *ir.Graph) { g.Ops = append(g.Ops, g.Ops[2]) }, `result %2 is defined elsewhere too`},
		{"a result of another operator", func(g *ir.Graph) { g.Ops[1].Results[0].Def = g.Ops[0] }, `result %1 is defined elsewhere too`},
		{"a number twice", func(g *ir.Graph) { g.Ops[2].Results[0].ID = 0 }, `result %0 is defined elsewhere too`},
		{"attributes of another kind", func(g *ir.Graph) { g.Ops[2].Attrs = &ir.ScatterAttrs{} }, `attributes are \*ir.ScatterAttrs, want ir.LinearAttrs`},
		{"attributes by value", func(g *ir.Graph) { g.Ops[2].Attrs = ir.LinearAttrs{} }, `attributes are ir.LinearAttrs, want`},
		{"no attributes", func(g *ir.Graph) { g.Ops[2].Attrs = nil }, `attributes are <nil>, want ir.LinearAttrs`},
		{"attributes of a kind without", func(g *ir.Graph) {
			g.Ops[2] = &ir.Op{Kind: ir.Normalize, Args: g.Ops[2].Args[:1], Attrs: &ir.PoolAttrs{}}
		}, `attributes are \*ir.PoolAttrs, want <nil>`},
		{"data of another shape", func(g *ir.Graph) {
			g.Ops[1].Attrs.(*ir.WeightAttrs).Data = tensor.FromFloat64s([]int{3, 2}, make([]float64, 6))
		}, `weight is f32\[2,3\], its data f32\[3,2\]`},
		{"too little data", func(g *ir.Graph) {
			g.Ops[1].Attrs.(*ir.WeightAttrs).Data = tensor.Tensor{DType: tensor.F32, Shape: []int{2, 3}, Data: make([]byte, 20)}
		}, `weight f32\[2,3\] has 20 bytes`},
	} {
		g := &ir.Graph{Name: "g"}
		x, w := g.NewInput("x", ir.F32(ir.T, 3)), g.NewWeight("w", tensor.FromFloat32s([]int{2, 3}, make([]float32, 6)))
		g.Outputs = []ir.Output{{Name: "y", Value: g.New(ir.Linear, &ir.LinearAttrs{}, "", x, w).Result()}}
		c.do(g)
		err := ir.Verify(g, ir.Model)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
