package cost_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"etc/codegen/cuda"
	"etc/compiler/cost"
	"etc/ir"
)

// A predicted is one kernel of BERT_BASE, and how often a batch runs it.
type predicted struct {
	name  string
	times int
	of    func(g cost.GPU, rows, length int) (cost.Prediction, string)
}

// The sizes of BERT_BASE.
const layers, hidden, inner, heads = 12, 768, 3072, 12

// kernels are those of BERT_BASE in f16 up to its last hidden state.
var kernels = []predicted{
	rowwise("embed_layernorm", 1, 4), // three tables in, one row out
	product("linear, q k v", 3*hidden, hidden),
	{"attention", layers, func(g cost.GPU, rows, length int) (cost.Prediction, string) {
		a := &ir.AttentionAttrs{Heads: heads, D: hidden / heads, Dv: hidden / heads}
		e := g.ChooseAttention(a, length)
		return g.PredictAttention(a, e, length, rows), e.Variant()
	}},
	product("linear, output", hidden, hidden),
	product("linear, up, GELU", inner, hidden),
	product("linear, down", hidden, inner),
	rowwise("skip_layernorm", 2*layers, 3), // two in, one out
}

func rowwise(name string, times, passes int) predicted {
	return predicted{name, times, func(g cost.GPU, rows, length int) (cost.Prediction, string) {
		return g.PredictRows(float64(2 * passes * rows * length * hidden)), ""
	}}
}

// product takes the tile of the class that the batch falls into.
func product(name string, n, k int) predicted {
	return predicted{name, layers, func(g cost.GPU, rows, length int) (cost.Prediction, string) {
		for _, class := range cuda.RowClasses {
			if class == 0 || rows*length <= class {
				t := cuda.Tiles[g.Tile(cuda.Tiles, class, n, k)]
				return g.PredictProduct(t, rows*length, n, k), t.Name
			}
		}
		panic("no class")
	}}
}

// table is the predictions for one batch, in Markdown.
func table(rows, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %d×%d | times | MB | GFLOP | A100 | limit | µs | H200 | limit | µs |\n|---|---|---|---|---|---|---|---|---|---|\n", rows, length)
	var sum [2]float64
	var flops float64
	for _, k := range kernels {
		var cells string
		var p cost.Prediction
		for i, g := range []cost.GPU{cost.A100, cost.H200} {
			g.DType = "f16"
			var how string
			p, how = k.of(g, rows, length)
			cells += fmt.Sprintf(" %s | %s | %.1f |", how, p.Limit, p.Seconds*1e6)
			sum[i] += float64(k.times) * p.Seconds * 1e6
		}
		flops += float64(k.times) * p.Flops / 1e9
		fmt.Fprintf(&b, "| %s | %d | %.2f | %.2f |%s\n", k.name, k.times, p.Bytes/1e6, p.Flops/1e9, cells)
	}
	fmt.Fprintf(&b, "| all | | | %.1f | | | %.0f | | | %.0f |\n", flops, sum[0], sum[1])
	return b.String()
}

// TestPredictions: docs/performance.md has the predictions that this program
// makes, not those of an earlier one.
func TestPredictions(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range [][2]int{{1, 128}, {32, 128}, {128, 128}} {
		if want := table(batch[0], batch[1]); !strings.Contains(string(page), want) {
			t.Errorf("docs/performance.md has not this table:\n%s", want)
		}
	}
}
