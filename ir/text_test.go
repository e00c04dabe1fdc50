package ir_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// TestPrintParsePrint: what is printed reads back as the same text and verifies.
func TestPrintParsePrint(t *testing.T) {
	for seed := range uint64(200) {
		text := ir.Print(irtest.RandomGraph(rand.New(rand.NewPCG(seed, 0))))
		g, err := ir.Parse(text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if again := ir.Print(g); again != text {
			t.Fatalf("seed %d: printed\n%s\nthen\n%s", seed, text, again)
		}
		if err := ir.Verify(g, ir.Model); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestTextNormalForm: spacing, comments, numbers of values and zero
// attributes may be written in any way and print in one.
func TestTextNormalForm(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\r\n  # comment\n\tgraph\t\"g\" \n", "graph \"g\"\n"},
		{"%9=input{name=\"x\"}:f32[T,3]\ngraph \"g\"\noutput\"y\"%9", "graph \"g\"\n%0 = input {name=\"x\"} : f32[T,3]\noutput \"y\" %0\n"},
		{"graph \"g\"\n%0 = pool( %1 ,\t_ ) {} \"\" : f32[B,3]", "line 2: %1 is used before it is defined"},
		{"graph \"a\\\"b\\n\\u00e9 \\\\\"", "graph \"a\\\"b\\né \\\\\"\n"},
		{"graph \"g\"\n%3 = weight {row=-1 transposed=false tensor=\"t\" name=\"W\"} : f32[]", "graph \"g\"\n%0 = weight {name=\"W\" tensor=\"t\" row=-1} : f32[]\n"},
		{"graph \"g\"\n%0 = weight {values=[0x1p-2 -0 1e3 NaN +Inf]} : f32[5]", "graph \"g\"\n%0 = weight {values=[0.25 -0 1000 NaN +Inf]} : f32[5]\n"},
		{"graph \"g\"\n%0 = weight {values=[1e1 -3]} : i32[2,1]", "graph \"g\"\n%0 = weight {values=[10 -3]} : i32[2,1]\n"},
		{"graph \"g\"\n%0 = weight {values=[]} : f32[3,0]", "graph \"g\"\n%0 = weight {values=[]} : f32[3,0]\n"},
		{"graph \"g\"\n%0 = activation(_) {act=none} : f32[]", "graph \"g\"\n%0 = activation(_) : f32[]\n"},
		{"graph \"g\"\n%0 = layernorm {eps=1e-12} \"layer 0\" : bf16[T,B,B+1,7]", "graph \"g\"\n%0 = layernorm {eps=1e-12} \"layer 0\" : bf16[T,B,B+1,7]\n"},
		{"graph \"g\"\n%7, %3 = linear_nll : f32[T], f32[T]\n%0 = add(%3,%7) : f32[T]\ntap \"t\" %3\nondemand \"o\" %0",
			"graph \"g\"\n%0, %1 = linear_nll : f32[T], f32[T]\n%2 = add(%1, %0) : f32[T]\ntap \"t\" %1\nondemand \"o\" %2\n"},
	} {
		got, err := roundTrip(c.text)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q\ngives %q\nwant  %q", c.text, got, c.want)
		}
	}
}

// roundTrip prints what text means.
func roundTrip(text string) (string, error) {
	g, err := ir.Parse(text)
	if err != nil {
		return "", err
	}
	return ir.Print(g), nil
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `no line: graph "NAME"`},
		{"graph", `line 1: found "", want a quoted name`},
		{"graph g", `line 1: found "g", want a quoted name`},
		{"graph `g`", "line 1: found \"`g`\", want a quoted name"},
		{"graph \"\xff\"", `want quoted UTF-8`},
		{"graph \"\\xff\"", `want quoted UTF-8`},
		{`graph "g" x`, `line 1: found "x", want the end of the line`},
		{"graph \"g\"\ngraph \"h\"", `line 2: graph "h": the graph has a name`},
		{`result "y"`, `line 1: "result": want graph, a value, output, ondemand or tap`},
		{`output "y"`, `line 1: found "", want a value such as %7`},
		{`output "y" _`, `line 1: output "y": want a value`},
		{`output "y" %0`, `line 1: %0 is used before it is defined`},
		{`output y`, `line 1: found "y", want a quoted name`},
		{`%`, `line 1: %: want a number`},
		{`%x = add`, `line 1: %x: want a number`},
		{`%-1 = add`, `line 1: %-1: want a number`},
		{`%99999999999 = add`, `line 1: %99999999999: want a number`},
		{`%0, = add`, `line 1: found "= add", want a value such as %7`},
		{`%0 add`, `line 1: found "add", want =`},
		{`%0 = `, `line 1: operator "" is not known`},
		{`%0 = matmul`, `line 1: operator "matmul" is not known`},
		{`%0 = add(`, `line 1: found "", want a value such as %7`},
		{`%0 = add(_ _)`, `line 1: found "_)", want , or )`},
		{`%0 = add(_,)`, `line 1: found ")", want a value such as %7`},
		{`%0 = add {x=1} : f32[]`, `line 1: found "{x=1} : f32[]", want a type for each result`},
		{`%0 = pool {x=1} : f32[]`, `line 1: pool: attribute "x" is not known`},
		{`%0 = weight {data=1} : f32[]`, `line 1: weight: attribute "data" is not known`},
		{`%0 = input {Name="x"} : f32[]`, `line 1: input: attribute "Name" is not known`},
		{`%0 = input {name=x} : f32[]`, `line 1: input: found "x} : f32[]", want a quoted name`},
		{`%0 = input {name="x" name="y"} : f32[]`, `line 1: input: name is given twice`},
		{`%0 = input {name "x"} : f32[]`, `line 1: input: found "\"x\"} : f32[]", want name=value or }`},
		{`%0 = input {name="x"`, `line 1: input: found "", want name=value or }`},
		{`%0 = linear {act=swish} : f32[]`, `line 1: linear: "swish": want one of ["none" "gelu" "gelu_tanh" "relu" "tanh"]`},
		{`%0 = linear {scaled=1.5} : f32[]`, `line 1: linear: scaled=1.5: want an integer`},
		{`%0 = linear {scaled=4294967296} : f32[]`, `line 1: linear: scaled=4294967296: want an integer`},
		{`%0 = linear {scale=x} : f32[]`, `line 1: linear: scale=x: want a number`},
		{`%0 = attention {causal=yes} : f32[]`, `line 1: attention: causal=yes: want true or false`},
		{`%0 = attention {rows=middle} : f32[]`, `line 1: attention: "middle": want one of ["all" "first" "last"]`},
		{`%0 = weight {values=1} : f32[]`, `line 1: weight: found "1} : f32[]", want [`},
		{`%0 = weight {values=[1 x]} : f32[2]`, `line 1: weight: found "]} : f32[2]", want a number or ]`},
		{`%0 = weight {values=[1 2} : f32[2]`, `line 1: weight: found "} : f32[2]", want a number or ]`},
		{`%0 = weight {values=[` + strings.Repeat("1 ", 65) + `]} : f32[65]`, `line 1: weight: more than 64 values`},
		{`%0 = weight {name="W" values=[1 2]} : f32[3]`, `line 1: weight "W": 2 values for f32[3]`},
		{`%0 = weight {name="W" values=[1 2]} : f32[T]`, `line 1: weight "W": 2 values for f32[T]`},
		{`%0 = weight {name="W" values=[]} : f32[1073741823,1073741823,1073741823]`, `0 values for f32[1073741823`},
		{`%0 = weight {name="W" values=[1.5]} : i32[1]`, `line 1: weight "W": 1.5 is no i32`},
		{`%0 = weight {name="W" values=[2147483648]} : i32[1]`, `is no i32`},
		{`%0 = weight {name="W" values=[NaN]} : i32[1]`, `line 1: weight "W": NaN is no i32`},
		{`%0 = weight "label`, `line 1: found "\"label", want a quoted name`},
		{`%0 = add`, `line 1: found "", want a type for each result`},
		{`%0, %1 = add : f32[]`, `line 1: found "", want a type for each result`},
		{`%0 = add : f32[], f32[]`, `line 1: found ", f32[]", want the end of the line`},
		{`%0 = add : f32`, `line 1: type "": want a dtype and a shape such as f32[T,384]`},
		{`%0 = add : f33[1]`, `line 1: type "f33[1]": want a dtype`},
		{`%0 = add : f32[S]`, `line 1: type "f32[S]": dimension "S": want a number, T, B or B+1`},
		{`%0 = add : f32[-1]`, `dimension "-1"`},
		{`%0 = add : f32[01]`, `dimension "01"`},
		{`%0 = add : f32[1,]`, `dimension ""`},
		{`%0 = add : f32[2147483648]`, `dimension "2147483648"`},
		{"%0 = add : f32[]\n%0 = add : f32[]", `line 2: %0 is defined twice`},
	} {
		_, err := ir.Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

// TestLargeWeightsPrintWithoutValues: 64 elements are printed, 65 are not.
func TestLargeWeightsPrintWithoutValues(t *testing.T) {
	for n, printed := range map[int]bool{64: true, 65: false} {
		g := &ir.Graph{Name: "g"}
		g.NewWeight("W", tensor.FromFloat64s([]int{n}, make([]float64, n)))
		if strings.Contains(ir.Print(g), "values=") != printed {
			t.Errorf("%d elements: %s", n, ir.Print(g))
		}
	}
}

// TestValuesAreExact: every float64 that is printed reads back the same.
func TestValuesAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	v := make([]float64, 64)
	for i := range v {
		v[i] = rng.NormFloat64() * float64(rng.Uint64())
	}
	g := &ir.Graph{Name: "g"}
	g.NewWeight("W", tensor.FromFloat64s([]int{8, 8}, v))
	back, err := ir.Parse(ir.Print(g))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := back.Ops[0].Result().Data()
	for i, x := range data.Float64s() {
		if x != v[i] {
			t.Errorf("%v became %v", v[i], x)
		}
	}
}

// FuzzParse: text never makes Parse or Verify panic, and what parses prints
// in a form that parses to the same text.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/verify/*.ir", "interp/testdata/*.ir"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			prelude, cases := splitCases(string(text))
			for _, c := range cases {
				f.Add(prelude + c)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ir.Parse(text)
		if err != nil {
			return
		}
		printed := ir.Print(g)
		back, err := ir.Parse(printed)
		if err != nil {
			t.Fatalf("printed text does not parse: %v\n%s", err, printed)
		}
		if again := ir.Print(back); again != printed {
			t.Fatalf("printed\n%s\nthen\n%s", printed, again)
		}
		errG, errBack := ir.Verify(g, ir.Model|ir.Kernel), ir.Verify(back, ir.Model|ir.Kernel)
		if (errG == nil) != (errBack == nil) {
			t.Fatalf("verifies: %v, then %v", errG, errBack)
		}
	})
}

// TestTextKeepsEverything: labels, output kinds and every attribute of every
// operator read back as they were, not only as the same text.
func TestTextKeepsEverything(t *testing.T) {
	for _, k := range ir.Kinds() {
		g, err := ir.Parse("graph \"g\"\n%0 = " + k.String() + " \"label\" : f32[]\ntap \"t\" %0\n")
		if err != nil {
			t.Fatal(err)
		}
		attrs := g.Ops[0].Attrs
		if attrs != nil {
			setFields(t, reflect.ValueOf(attrs).Elem())
		}
		back, err := ir.Parse(ir.Print(g))
		if err != nil {
			t.Fatal(err)
		}
		if op := back.Ops[0]; op.Kind != k || op.Label != "label" || !reflect.DeepEqual(op.Attrs, attrs) || back.Outputs[0].When != ir.Tap {
			t.Errorf("%v became\n%v", ir.Print(g), ir.Print(back))
		}
	}
}

// setFields gives every field but a weight's data a value that is not zero.
func setFields(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("a \"name\"")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(int64(-7 - i))
		case reflect.Uint8:
			f.SetUint(2)
		case reflect.Float64:
			f.SetFloat(0.1 + float64(i)*1e-9)
		case reflect.Struct:
			if f.Type() != reflect.TypeFor[tensor.Tensor]() {
				t.Fatalf("field %v", f.Type())
			}
		default:
			t.Fatalf("field %v", f.Type())
		}
	}
}
