package interp_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"etc/ir/interp"
	"etc/ir/irtest"
)

// tiny is testdata/tiny-sst2 in sizes: 2 layers of 4 heads, hidden 128, 512
// neurons, 6164 words.
func tiny() string {
	layer := `
%A1 = weight {name="q"} : f32[128,128]
%A2 = linear(%X, %A1, _, _, _) : f32[T,128]
%A3 = linear(%X, %A1, _, _, _) : f32[T,128]
%A4 = linear(%X, %A1, _, _, _) : f32[T,128]
%A5 = attention(%A2, %A3, %A4, %0, _) {heads=4 d=32 dv=32 scale=0.17} : f32[T,128]
%A6 = linear(%A5, %A1, _, _, _) : f32[T,128]
%A7, %A8 = skip_layernorm(%A6, %X, %5, %5, _, _) {eps=1e-12} : f32[T,128], f32[T,128]
%A9 = weight {name="up"} : f32[512,128]
%A10 = weight {name="down"} : f32[128,512]
%A11 = linear(%A8, %A9, _, _, _) {act=gelu} : f32[T,512]
%A12 = linear(%A11, %A10, _, _, _) : f32[T,128]
%A13, %A14 = skip_layernorm(%A12, %A8, %5, %5, _, _) {eps=1e-12} : f32[T,128], f32[T,128]
`
	return `graph "tiny"
%0 = input {name="offsets"} : i32[B+1]
%1 = input {name="ids"} : i32[T]
%4 = weight {name="word"} : f32[6164,128]
%5 = weight {name="gamma"} : f32[128]
%6 = embed_layernorm(%1, _, _, %4, _, _, %5, %5) {eps=1e-12} : f32[T,128]
` + strings.NewReplacer("%A", "%10", "%X", "%6").Replace(layer) +
		strings.NewReplacer("%A", "%20", "%X", "%1014").Replace(layer) + "output \"y\" %2014\n"
}

// BenchmarkTiny is 64 rows of 25 tokens, about the mean of SST-2's.
func BenchmarkTiny(b *testing.B) {
	g := irtest.Load(b, tiny())
	p, err := interp.Load(g)
	if err != nil {
		b.Fatal(err)
	}
	lengths := make([]int, 64)
	for i := range lengths {
		lengths[i] = 25
	}
	in := irtest.InputsOf(rand.New(rand.NewPCG(1, 1)), g, lengths...)
	for b.Loop() {
		if _, err := p.Run(in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(in.IDs))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
