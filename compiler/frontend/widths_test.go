package frontend_test

import (
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/fault"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// small are the sizes of the checkpoints here: H is 15.
var small = frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 5, Inner: 11, Labels: 4}

// features are those of the listed heads.
func features(heads ...int) (list []int) {
	for _, h := range heads {
		for f := range small.HeadSize {
			list = append(list, h*small.HeadSize+f)
		}
	}
	return list
}

// narrowed writes a checkpoint of the class whose layer 1 was edited.
func narrowed(t *testing.T, class string, edit func(l frontendtest.Layer)) string {
	t.Helper()
	return withTensors(t, class, small, func(tensors map[string]tensor.Tensor) {
		edit(frontendtest.Layers(class, tensors)[1])
	})
}

// TestPrunedHeadsAndShapesAgree: with pruned_heads and without it a checkpoint
// saved small is one graph, and that of the whole one with zeros. An object
// that lists no head says nothing.
func TestPrunedHeadsAndShapesAgree(t *testing.T) {
	for _, class := range frontendtest.Classes {
		zero := func(float32) float32 { return 0 }
		want := importDir(t, narrowed(t, class, func(l frontendtest.Layer) {
			l.Out.Columns(features(0, 2), zero)
			l.Down.Columns([]int{3, 10}, zero)
		})).Graph
		for name, heads := range map[string]any{
			"listed":        map[string][]int{"1": {2, 0}},
			"with no heads": map[string][]int{"0": {}, "1": {0, 2}},
			"not listed":    nil,
			"empty":         map[string][]int{},
			"empty lists":   map[string][]int{"0": {}, "1": {}},
		} {
			dir := narrowed(t, class, func(l frontendtest.Layer) { l.Narrow(features(0, 2), []int{3, 10}) })
			edit(t, dir, map[string]any{"pruned_heads": heads})
			got := importDir(t, dir).Graph
			irtest.Equivalent(t, want, got, 1)
			var counts []int
			for _, op := range got.Ops {
				if a, ok := op.Attrs.(*ir.AttentionAttrs); ok {
					counts = append(counts, a.Heads)
				}
			}
			if !slices.Equal(counts, []int{3, 1}) {
				t.Errorf("%s, %s: heads %v, want [3 1]", class, name, counts)
			}
		}
	}
}

// TestNothingLeft: a layer without heads and neurons adds its biases, and its
// weights of no elements are claimed.
func TestNothingLeft(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, class := range frontendtest.Classes {
		dir := narrowed(t, class, func(l frontendtest.Layer) { l.Narrow(features(0, 1, 2), all) })
		source := open(t, dir)
		im, err := frontend.Import(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range im.Unclaimed {
			if !strings.Contains(name, "pooler") {
				t.Errorf("%s: unclaimed %q", class, name)
			}
		}
		for _, op := range im.Graph.Ops {
			if op.Kind == ir.Attention && op.Label != "layer 0 attention" {
				t.Errorf("%s: %s is still there", class, op.Label)
			}
		}
		if changed := writeBack(t, im.Graph, source); len(changed) != 0 {
			t.Errorf("%s: %d tensors changed, want none", class, len(changed))
		}
	}
}

// TestNarrowWeightsWriteBack: what is changed of a checkpoint saved small
// arrives where it came from.
func TestNarrowWeightsWriteBack(t *testing.T) {
	for _, class := range frontendtest.Classes {
		c := open(t, narrowed(t, class, func(l frontendtest.Layer) { l.Narrow(features(1), []int{0, 4}) }))
		im, err := frontend.Import(c)
		if err != nil {
			t.Fatal(err)
		}
		everyWeightWritesBack(t, c, im)
	}
}

func TestWidthsRefused(t *testing.T) {
	type config = map[string]any
	heads := func(text any) config { return config{"pruned_heads": text} }
	nothing := func(frontendtest.Layer) {}
	const form = "want an object from integers to lists of distinct integers, from 0"
	for _, c := range []struct {
		class  string
		layer  func(l frontendtest.Layer)
		config config
		says   string
	}{
		// pruned_heads that is nonsense
		{"BertModel", nothing, heads([]int{1}), `"pruned_heads" is [1], ` + form},
		{"BertModel", nothing, heads("1"), form},
		{"BertModel", nothing, heads(config{"1": 0}), form},
		{"BertModel", nothing, heads(config{"1": nil}), form},
		{"BertModel", nothing, heads(config{"1": []any{nil}}), form},
		{"BertModel", nothing, heads(config{"1": []any{"0"}}), form},
		{"BertModel", nothing, heads(config{"1": []float64{0.5}}), form},
		{"BertModel", nothing, heads(config{"1": []int{-1}}), form},
		{"BertModel", nothing, heads(config{"1": []int{0, 2, 0}}), form},
		{"BertModel", nothing, heads(config{"01": []int{0}}), form},
		{"BertModel", nothing, heads(config{"-1": []int{0}}), form},
		{"BertModel", nothing, heads(config{"one": []int{0}}), form},
		{"BertModel", nothing, heads(config{"2": []int{0}}), "pruned_heads of layer 2, want one of the 2 layers from 0"},
		{"BertModel", nothing, heads(config{"7": []int{0}, "3": []int{0}, "5": []int{0}, "4": []int{0}, "6": []int{0}}), "pruned_heads of layer 3, want"},
		{"GPT2Model", nothing, heads(config{"1": []int{0, 3}}), "pruned_heads of layer 1: head 3, want one of the 3 heads from 0"},

		// pruned_heads against the tensors
		{"BertModel", nothing, heads(config{"1": []int{0}}), `layer.1.attention.self.query.weight": shape [15 15], want [10 15]: layer 1 has 2 of 3 heads by pruned_heads`},
		{"DistilBertModel", nothing, heads(config{"1": []int{0}}), `layer.1.attention.q_lin.weight": shape [15 15], want [10 15]: layer 1 has 2 of 3 heads by pruned_heads`},
		{"GPT2LMHeadModel", nothing, heads(config{"1": []int{0, 1}}), `h.1.attn.c_attn.weight": shape [15 45], want [15 15]: layer 1 has 1 of 3 heads by pruned_heads`},
		{"BertModel", func(l frontendtest.Layer) { l.Narrow(features(0), nil) }, heads(config{"0": []int{0}}),
			`layer.0.attention.self.query.weight": shape [15 15], want [10 15]: layer 0 has 2 of 3 heads by pruned_heads`},
		{"BertModel", func(l frontendtest.Layer) { l.Narrow(features(0), nil) }, heads(config{"1": []int{0, 1}}),
			`layer.1.attention.self.query.weight": shape [10 15], want [5 15]: layer 1 has 1 of 3 heads by pruned_heads`},

		// features that are no whole heads
		{"BertModel", func(l frontendtest.Layer) { l.Narrow(features(0)[1:], nil) }, nil, `query.weight": shape [11 15], want whole heads: a multiple of 5 in place of 11`},
		{"GPT2Model", func(l frontendtest.Layer) { l.Narrow(features(0)[1:], nil) }, nil, `c_attn.weight": shape [15 33], want whole heads: a multiple of 15 in place of 33`},
		{"TransformerModel", func(l frontendtest.Layer) { l.Narrow(features(0)[1:], nil) }, nil, `in_proj_weight": shape [33 15], want whole heads: a multiple of 15 in place of 33`},

		// what the widths of a layer do not explain
		{"BertForSequenceClassification", func(l frontendtest.Layer) { l.Narrow(features(0), nil) }, config{"id2label": config{"0": "a", "1": "b"}},
			"classifier.weight\": shape [4 15], want [2 15]\n"},
	} {
		dir := narrowed(t, c.class, c.layer)
		edit(t, dir, c.config)
		refused(t, dir, c.says)
	}
}

// TestWeightsOfALayerDisagree: weights of one layer that have lost different
// widths are refused, with the reason for what is wanted.
func TestWeightsOfALayerDisagree(t *testing.T) {
	const attention, ffn = "bert.encoder.layer.1.attention.", "bert.encoder.layer.1."
	const twoHeads = ": layer 1 has 2 of 3 heads by attention.self.query.weight, 11 of 11 neurons by intermediate.dense.weight"
	const eight = ": layer 1 has 3 of 3 heads by attention.self.query.weight, 8 of 11 neurons by intermediate.dense.weight"
	for _, c := range []struct {
		rows map[string]int // how many stay
		says string
	}{
		{map[string]int{attention + "self.query.weight": 10}, `query.bias": shape [15], want [10]` + twoHeads},
		{map[string]int{attention + "self.query.weight": 10, attention + "self.query.bias": 10}, `key.weight": shape [15 15], want [10 15]` + twoHeads},
		{map[string]int{attention + "self.key.weight": 10}, `key.weight": shape [10 15], want [15 15]`},
		{map[string]int{attention + "self.value.weight": 5}, `value.weight": shape [5 15], want [15 15]`},
		{map[string]int{
			attention + "self.query.weight": 10, attention + "self.query.bias": 10, attention + "self.key.weight": 10, attention + "self.key.bias": 10,
			attention + "self.value.weight": 10, attention + "self.value.bias": 10,
		}, `attention.output.dense.weight": shape [15 15], want [15 10]` + twoHeads},
		{map[string]int{ffn + "intermediate.dense.weight": 8}, `intermediate.dense.bias": shape [11], want [8]` + eight},
		{map[string]int{ffn + "intermediate.dense.weight": 8, ffn + "intermediate.dense.bias": 8}, `output.dense.weight": shape [15 11], want [15 8]` + eight},
		{map[string]int{ffn + "intermediate.dense.bias": 8}, `intermediate.dense.bias": shape [8], want [11]`},
		{map[string]int{ffn + "intermediate.dense.weight": 12}, `intermediate.dense.weight": shape [12 15], want [11 15]`},
		{map[string]int{attention + "self.query.weight": 20}, `query.weight": shape [20 15], want [15 15]`},
		{map[string]int{attention + "self.query.weight": 10, attention + "self.query.bias": 10, "bert.encoder.layer.0.output.dense.bias": 1},
			`layer.0.output.dense.bias": shape [1], want [15]`},
	} {
		refused(t, withTensors(t, "BertModel", small, func(tensors map[string]tensor.Tensor) {
			for name, n := range c.rows {
				was := tensors[name]
				shape := slices.Clone(was.Shape)
				shape[0] = n
				elements, _ := tensor.Elements(shape)
				tensors[name] = tensor.FromFloat32s(shape, make([]float32, elements))
			}
		}), c.says+"\n")
	}
}

// refused checks that the import of dir is refused with a text that ends or
// goes on as says does: a line break stands for its end.
func refused(t *testing.T, dir, says string) {
	t.Helper()
	_, err := frontend.Import(open(t, dir))
	if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error()+"\n", says) {
		t.Errorf("error %v, want a corrupt fault with %q", err, says)
	}
}
