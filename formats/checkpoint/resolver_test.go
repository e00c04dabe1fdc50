package checkpoint

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/formats/safetensors"
	"etc/ir/tensor"
)

// named are tensors of one element with these names.
func named(names ...string) []safetensors.Named {
	var list []safetensors.Named
	for i, name := range names {
		list = append(list, vector(name, float32(i)))
	}
	return list
}

func TestResolverFindsPrefixes(t *testing.T) {
	all := []string{"bert.", "distilbert.", "roberta.", "model.", "transformer."}
	for _, prefix := range append(all, "") {
		c := single(t, named(prefix+"embeddings.weight", prefix+"transformer.layer.0.weight", "classifier.weight")...)
		r := NewResolver(c, append(all, "")...)
		for _, name := range []string{"embeddings.weight", "transformer.layer.0.weight", "classifier.weight"} {
			r.Tensor(name, 1)
		}
		if err := r.Err(); err != nil || r.Prefix() != prefix || r.Unclaimed() != nil {
			t.Errorf("%q: prefix %q, unclaimed %v, %v", prefix, r.Prefix(), r.Unclaimed(), err)
		}
		if got := r.Name("embeddings.weight"); got != prefix+"embeddings.weight" {
			t.Errorf("%q: name %q", prefix, got)
		}
	}
}

func TestResolverKeepsItsPrefix(t *testing.T) {
	r := NewResolver(single(t, named("bert.a.weight", "roberta.b.weight")...), "bert.", "roberta.")
	r.Tensor("a.weight", 1)
	if r.Has("b.weight") {
		t.Error("b.weight was found under another prefix")
	}
	if r.Prefix() != "bert." {
		t.Errorf("prefix %q", r.Prefix())
	}
}

func TestResolverFindsGammaAndBeta(t *testing.T) {
	c := single(t, named("bert.LayerNorm.gamma", "bert.LayerNorm.beta", "bert.dense.weight", "bert.dense.gamma")...)
	r := NewResolver(c, "bert.")
	for wanted, want := range map[string]string{
		"LayerNorm.weight": "bert.LayerNorm.gamma", "LayerNorm.bias": "bert.LayerNorm.beta", "dense.weight": "bert.dense.weight",
	} {
		if got := r.Name(wanted); got != want {
			t.Errorf("%s is %q, want %q", wanted, got, want)
		}
		r.Tensor(wanted, 1)
	}
	if got := r.Unclaimed(); r.Err() != nil || !slices.Equal(got, []string{"bert.dense.gamma"}) {
		t.Errorf("unclaimed %v, %v", got, r.Err())
	}
	if got := r.Claimed(); !slices.Equal(got, []string{"bert.LayerNorm.gamma", "bert.LayerNorm.beta", "bert.dense.weight"}) {
		t.Errorf("claimed %v", got)
	}
}

func TestResolverRefuses(t *testing.T) {
	matrix := safetensors.Named{Name: "bert.encoder.layer.3.attention.self.query.weight", Tensor: tensor.FromFloat32s([]int{4, 2}, make([]float32, 8))}
	ids := safetensors.Named{Name: "bert.ids", Tensor: tensor.FromInt32s([]int{1}, []int32{0})}
	c := single(t, append(named("bert.a.weight", "bert.encoder.layer.1.attention.self.query.weight", "bert.encoder.layer.0.atention.self.query.weight"), matrix, ids)...)
	for _, test := range []struct {
		wanted []string
		want   string
	}{
		{[]string{"encoder.layer.3.attention.self.query.weight"},
			`weight "bert.encoder.layer.3.attention.self.query.weight": shape [4 2], want [1]`},
		{[]string{"ids"}, `weight "bert.ids": dtype i32, want f32, f16, bf16 or f64`},
		// The nearest of all is claimed later, so the misspelled one is named.
		{[]string{"a.weight", "encoder.layer.0.attention.self.query.weight", "absent", "encoder.layer.1.attention.self.query.weight", "encoder.layer.3.attention.self.query.weight"},
			`weight "bert.encoder.layer.0.attention.self.query.weight" [1] is missing; the nearest that nothing else uses is "bert.encoder.layer.0.atention.self.query.weight"`},
		{[]string{"a.weight", "classifier.weight"}, `weight "bert.classifier.weight" [1] is missing, with "bert." and without`},
		{[]string{"a.weight", "quite.another.name.than.all.the.others"}, `weight "bert.quite.another.name.than.all.the.others" [1] is missing, with "bert." and without`},
	} {
		r := NewResolver(c, "bert.")
		for _, name := range test.wanted {
			if got := r.Tensor(name, 1); name == test.wanted[0] && r.err != nil && got.Data != nil {
				t.Errorf("%s: refused, and given as %v", name, got)
			}
		}
		if err := r.Err(); fault.KindOf(err) != fault.Corrupt || err.Error() != test.want {
			t.Errorf("%v: %v, want %q", test.wanted, err, test.want)
		}
	}
}

func TestResolverKeepsTheFirstFault(t *testing.T) {
	for first, want := range map[string]string{"a": "shape [1], want [2]", "absent": `"absent" [2] is missing`} {
		r := NewResolver(single(t, named("a")...))
		r.Tensor(first, 2)
		r.Tensor("a", 3)
		r.Tensor("gone", 3)
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Err = %v, want %q", err, want)
		}
	}
}

// TestResolverSaysWhy: a shape under the prefix of a reason is explained by
// it, by the last that was given; another is not.
func TestResolverSaysWhy(t *testing.T) {
	for name, want := range map[string]string{"a.x": `weight "bert.a.x": shape [1], want [2]: the last`, "b.x": `weight "bert.b.x": shape [1], want [2]`} {
		r := NewResolver(single(t, named("bert.a.x", "bert.b.x")...), "bert.")
		r.Because("", "the first")
		r.Because("a.", "the last")
		r.Tensor(name, 2)
		if err := r.Err(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestResolverTiesWeights(t *testing.T) {
	for _, test := range []struct {
		file       []string
		tied       bool
		head, word string
	}{
		{[]string{"transformer.wte.weight"}, true, "transformer.wte.weight", "transformer.wte.weight"},
		{[]string{"lm_head.weight"}, true, "lm_head.weight", "lm_head.weight"},
		{[]string{"transformer.wte.weight", "lm_head.weight"}, false, "lm_head.weight", "transformer.wte.weight"},
		{[]string{"x"}, false, "", ""},
	} {
		r := NewResolver(single(t, named(test.file...)...), "transformer.")
		if got := r.Alias("lm_head.weight", "wte.weight"); got != test.tied {
			t.Errorf("%v: tied is %t", test.file, got)
		}
		if head, word := r.Name("lm_head.weight"), r.Name("wte.weight"); head != test.head || word != test.word {
			t.Errorf("%v: head is %q, embedding is %q", test.file, head, word)
		}
	}
}

// plainDistance is the Levenshtein distance by its definition's full table.
func plainDistance(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		for j := range table[i] {
			switch {
			case i == 0 || j == 0:
				table[i][j] = i + j
			case a[i-1] == b[j-1]:
				table[i][j] = table[i-1][j-1]
			default:
				table[i][j] = 1 + min(table[i-1][j-1], table[i-1][j], table[i][j-1])
			}
		}
	}
	return table[len(a)][len(b)]
}

func TestDistance(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	word := func() string {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = "abc"[rnd.IntN(3)]
		}
		return string(b)
	}
	for range 50000 {
		a, b, limit := word(), word(), rnd.IntN(13)
		want := min(plainDistance(a, b), limit+1)
		if got := min(distance(a, b, limit), limit+1); got != want {
			t.Fatalf("distance of %q and %q up to %d: %d, want %d", a, b, limit, got, want)
		}
	}
}

func TestNearestPassesLongNamesOver(t *testing.T) {
	if got := nearest(strings.Repeat("x", longest), []string{strings.Repeat("x", longest+1)}); got != "" {
		t.Errorf("nearest is %q", got)
	}
}

func TestNearestIsBounded(t *testing.T) {
	names := []string{strings.Repeat("x", 1<<20)}
	for range 100000 {
		names = append(names, strings.Repeat("encoder.layer.0.attention", 10))
	}
	names = append(names, "weight.b")
	if got := nearest("weight.a", names); got != "weight.b" {
		t.Errorf("nearest is %q", got)
	}
	if got := nearest(strings.Repeat("decoder.layer.0.attention", 10), names[:100001]); got != names[1] {
		t.Errorf("nearest is %q", got)
	}
}
