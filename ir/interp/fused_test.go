package interp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// fused holds graphs whose outputs come in pairs: NAME and NAME2 are the same
// by different operators.
var fused = map[string]string{
	"embed_layernorm is layernorm of embed": `graph "g"
%0 = input {name="ids"} : i32[T]
%1 = input {name="positions"} : i32[T]
%2 = input {name="types"} : i32[T]
%3 = weight {name="word"} : f32[31,7]
%4 = weight {name="position"} : f32[40,7]
%5 = weight {name="type"} : f32[2,7]
%6 = weight {name="gamma"} : f32[7]
%7 = weight {name="beta"} : f32[7]
%8 = embed(%0, %1, %2, %3, %4, %5) {scale=2.5} : f32[T,7]
%9 = layernorm(%8, %6, %7) {eps=1e-5} : f32[T,7]
%10 = embed_layernorm(%0, %1, %2, %3, %4, %5, %6, %7) {scale=2.5 eps=1e-5} : f32[T,7]
output "y" %9
output "y2" %10
`,
	"skip_layernorm is layernorm of scatter, bias and add": `graph "g"
%0 = input {name="x"} : f32[T,3]
%1 = input {name="xresidual"} : f32[T,7]
%2 = weight {name="columns" values=[0 4 6]} : i32[3]
%3 = weight {name="gamma"} : f32[7]
%4 = weight {name="beta"} : f32[7]
%5 = weight {name="bias"} : f32[7]
%6 = weight {name="identity" values=[1 0 0 0 1 0 0 0 1]} : f32[3,3]
%7 = weight {name="columnsbias" values=[0 0 0]} : f32[3]
%8 = linear(%0, %6, %7, _, _) : f32[T,3]
%9 = scatter(%8, %2) {n=7} : f32[T,7]
%10 = add(%9, %1) : f32[T,7]
%11 = layernorm(%10, %3, %4) {eps=1e-12} : f32[T,7]
%12, %13 = skip_layernorm(%0, %1, %3, %4, _, %2) {eps=1e-12} : f32[T,7], f32[T,7]
output "sum" %10
output "sum2" %12
output "norm" %11
output "norm2" %13
`,
	"gather is the columns of linear": `graph "g"
%0 = input {name="x"} : f32[T,9]
%1 = weight {name="columns" values=[1 2 8]} : i32[3]
%2 = weight {name="W"} : f32[5,3]
%3 = weight {name="b"} : f32[5]
%4 = input {name="xresidual"} : f32[T,5]
%5 = gather(%0, %1) : f32[T,3]
%6 = linear(%5, %2, %3, _, _) : f32[T,5]
%7 = activation(%6) {act=gelu} : f32[T,5]
%8 = add(%7, %4) : f32[T,5]
%9 = linear(%0, %2, %3, %4, %1) {act=gelu} : f32[T,5]
output "y" %8
output "y2" %9
`,
	"two to the log2 e is e": `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="x"} : f32[T,6]
%2 = weight {name="Q"} : f32[6,6]
%3 = linear(%1, %2, _, _, _) : f32[T,6]
%4 = linear(%1, %2, _, _, _) {scaled=6 scale=1.4426950408889634} : f32[T,6]
%5 = attention(%3, %1, %1, %0, _) {heads=3 d=2 dv=2 scale=0.7 causal=true} : f32[T,6]
%6 = attention(%4, %1, %1, %0, _) {heads=3 d=2 dv=2 scale=0.7 causal=true exp2=true} : f32[T,6]
output "y" %5
output "y2" %6
`,
}

func init() {
	for _, kind := range []ir.Kind{ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention} {
		for _, rows := range []string{"all", "first", "last"} {
			for _, causal := range []bool{false, true} {
				fused[fmt.Sprintf("%v of %s rows, causal %v, is attention", kind, rows, causal)] = fusedAttention(kind, rows, causal)
			}
		}
	}
}

// fusedAttention has q, k and v as products by weights of their own, and as
// one product by all three.
func fusedAttention(kind ir.Kind, rows string, causal bool) string {
	text := `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="x"} : f32[T,5]
%2 = input {name="xq"} : f32[QR,6]
%3 = weight {name="columnsq" values=[0 1 2 3 4 5]} : i32[6]
%4 = weight {name="columnsk" values=[6 7 8 9 10 11]} : i32[6]
%5 = weight {name="columnsv" values=[12 13 14 15 16 17 18 19 20]} : i32[9]
%6 = weight {name="W"} : f32[21,5]
%7 = weight {name="bias"} : f32[3,259]
%8 = linear(%1, %6, _, _, _) : f32[T,21]
%9 = gather(%8, %3) : f32[T,6]
%10 = gather(%8, %4) : f32[T,6]
%11 = gather(%8, %5) : f32[T,9]
%12 = weight {name="columnskv" values=[6 7 8 9 10 11 12 13 14 15 16 17 18 19 20]} : i32[15]
%13 = gather(%8, %12) : f32[T,15]
`
	attrs := fmt.Sprintf("{heads=3 d=2 dv=3 scale=0.7 causal=%v rows=%s}", causal, rows)
	if rows == "all" {
		text += "%20 = attention(%9, %10, %11, %0, %7) " + attrs + " : f32[T,9]\n" +
			fmt.Sprintf("%%21 = %v(%%8, %%0, _, %%7) %s : f32[T,9]\n", kind, attrs)
	} else {
		text += "%20 = attention(%2, %10, %11, %0, %7) " + attrs + " : f32[B,9]\n" +
			fmt.Sprintf("%%21 = %v(%%13, %%0, %%2, %%7) %s : f32[B,9]\n", kind, attrs)
	}
	text = strings.Replace(text, "QR", map[bool]string{true: "T", false: "B"}[rows == "all"], 1)
	return text + "output \"y\" %20\noutput \"y2\" %21\n"
}

func TestFusedMeansUnfused(t *testing.T) {
	for name, text := range fused {
		t.Run(name, func(t *testing.T) { pairsAgree(t, irtest.Load(t, text)) })
	}
}

func pairsAgree(t *testing.T, g *ir.Graph) {
	t.Helper()
	for seed := range uint64(5) {
		out, err := interp.Run(g, irtest.RandomInputs(rand.New(rand.NewPCG(seed, 0)), g))
		if err != nil {
			t.Fatal(err)
		}
		pairs := 0
		for name, a := range out {
			if b := out[name+"2"]; b != nil {
				pairs++
				irtest.Close(t, b, a, 1e-13)
			}
		}
		if 2*pairs != len(out) {
			t.Fatalf("%d pairs of %d outputs", pairs, len(out))
		}
	}
}

// TestVOAttentionIsAttentionThenLinear: M_h = W_O[:,h]·W_V[h] takes the value
// and output products together, and b = W_O·b_V + b_O, as probabilities sum to 1.
func TestVOAttentionIsAttentionThenLinear(t *testing.T) {
	const heads, d, dv, n, k = 3, 2, 4, 5, 7
	g := irtest.Load(t, `graph "g"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="x"} : f32[T,7]
%2 = input {name="xqk"} : f32[T,12]
%3 = weight {name="V"} : f32[12,7]
%4 = weight {name="bv"} : f32[12]
%5 = weight {name="O"} : f32[5,12]
%6 = weight {name="bo"} : f32[5]
%7 = linear(%1, %3, %4, _, _) : f32[T,12]
%8 = weight {name="columnsq" values=[0 1 2 3 4 5]} : i32[6]
%9 = weight {name="columnsk" values=[6 7 8 9 10 11]} : i32[6]
%10 = gather(%2, %8) : f32[T,6]
%11 = gather(%2, %9) : f32[T,6]
%12 = attention(%10, %11, %7, %0, _) {heads=3 d=2 dv=4 scale=0.5} : f32[T,12]
%13 = linear(%12, %5, %6, _, _) : f32[T,5]
output "y" %13
`)
	weight := func(name string) []float64 {
		for _, op := range g.Ops {
			if data, ok := op.Results[0].Data(); ok && op.Result().WeightName() == name {
				return data.Float64s()
			}
		}
		t.Fatalf("no weight %q", name)
		return nil
	}
	v, bv, o, b := weight("V"), weight("bv"), weight("O"), weight("bo")
	m := make([]float64, heads*n*k)
	for h := range heads {
		for i := range n {
			for e := range dv {
				for j := range k {
					m[(h*n+i)*k+j] += o[i*heads*dv+h*dv+e] * v[(h*dv+e)*k+j]
				}
				b[i] += o[i*heads*dv+h*dv+e] * bv[h*dv+e]
			}
		}
	}
	vo := g.New(ir.VOAttention, &ir.AttentionAttrs{Heads: heads, D: d, Dv: n, Scale: 0.5}, "",
		g.Ops[2].Result(), g.InputNamed("x"), g.NewWeight("m", tensor.FromFloat64s([]int{heads * n, k}, m)),
		g.InputNamed("offsets"), g.NewWeight("b", tensor.FromFloat64s([]int{n}, b)))
	g.Outputs = append(g.Outputs, ir.Output{Name: "y2", Value: vo.Result()})
	pairsAgree(t, g)
}
