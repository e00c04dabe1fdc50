package frontend_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

// sameAnswers fails where two imports of one model answer differently, bit for bit.
func sameAnswers(t *testing.T, what string, a, b *frontend.Imported) {
	t.Helper()
	in := irtest.RandomInputs(newRand(2), a.Graph)
	want, err := interp.Run(a.Graph, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := interp.Run(b.Graph, in)
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !slices.Equal(got[name].F, want[name].F) {
			t.Errorf("%s: output %q differs", what, name)
		}
	}
}

// TestEveryPrefixIsRecognised: a base model's weights may stand under any of
// the prefixes in use, its own or not; those of the head stand beside them.
func TestEveryPrefixIsRecognised(t *testing.T) {
	heads := []string{"classifier.", "pre_classifier.", "score.", "lm_head.", "decoder."}
	isHead := func(name string) bool {
		return slices.ContainsFunc(heads, func(h string) bool { return strings.HasPrefix(name, h) })
	}
	o := frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 3, Inner: 5, Labels: 3, NoPrefix: true}
	for _, class := range frontendtest.Classes {
		plain := importDir(t, frontendtest.Random(t, newRand(1), class, o))
		for _, prefix := range []string{"bert.", "distilbert.", "roberta.", "model.", "transformer."} {
			dir := withTensors(t, class, o, func(w map[string]tensor.Tensor) {
				for _, name := range slices.Collect(maps.Keys(w)) {
					if !isHead(name) {
						w[prefix+name] = w[name]
						delete(w, name)
					}
				}
			})
			sameAnswers(t, class+" under "+prefix, plain, importDir(t, dir))
		}
	}
}

// TestTiedWeightsAreFoundUnderEitherName: of two names for one weight a file
// keeps one; safetensors.torch.save_model keeps the first in the alphabet.
func TestTiedWeightsAreFoundUnderEitherName(t *testing.T) {
	for _, c := range []struct {
		class, word, head string
		o                 frontendtest.Options
	}{
		{"GPT2LMHeadModel", "transformer.wte.weight", "lm_head.weight", frontendtest.Options{}},
		{"GPT2LMHeadModel", "wte.weight", "lm_head.weight", frontendtest.Options{NoPrefix: true}},
		{"TransformerModel", "encoder.weight", "decoder.weight", frontendtest.Options{}},
		{"TransformerModel", "input_emb.weight", "decoder.weight", frontendtest.Options{ExampleNames: true}},
	} {
		o := c.o
		o.Layers, o.Heads, o.HeadSize, o.Inner = 1, 2, 3, 5
		asWord := importDir(t, frontendtest.Random(t, newRand(1), c.class, o))
		dir := withTensors(t, c.class, o, func(w map[string]tensor.Tensor) {
			w[c.head] = w[c.word]
			delete(w, c.word)
		})
		asHead := importDir(t, dir)
		sameAnswers(t, c.class+" with "+c.head, asWord, asHead)
		if len(asHead.Unclaimed) != 0 || strings.Count(ir.Print(asHead.Graph), c.head) != strings.Count(ir.Print(asWord.Graph), c.word) {
			t.Errorf("%s: unclaimed %q, graph\n%s", c.class, asHead.Unclaimed, ir.Print(asHead.Graph))
		}
		edit(t, dir, map[string]any{"tie_word_embeddings": false})
		_, err := frontend.Import(open(t, dir))
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), `"`+c.word+`" [37 6] is missing`) {
			t.Errorf("%s, not tied: error %v, want one that misses %q", c.class, err, c.word)
		}
	}
}

// TestTiedWeightsStoredTwice: of two names for one weight a file may keep both
// if their values are the same, whatever the dtypes. Transformers 4 and 5 differ
// in what they make of other values, so only a file that does not tie them has those.
func TestTiedWeightsStoredTwice(t *testing.T) {
	const elements = 37 * 6
	exact := make([]float32, elements) // in f16 too
	for i := range exact {
		exact[i] = float32(i-elements/2) / 8
	}
	for _, c := range []struct {
		class, word, head string
		def               bool // tied where config.json does not say
	}{
		{"GPT2LMHeadModel", "transformer.wte.weight", "lm_head.weight", true},
		{"TransformerModel", "encoder.weight", "decoder.weight", false},
	} {
		o := frontendtest.Options{Layers: 1, Heads: 2, HeadSize: 3, Inner: 5}
		stored := func(head tensor.Tensor, tie any) string {
			dir := withTensors(t, c.class, o, func(w map[string]tensor.Tensor) {
				w[c.word], w[c.head] = tensor.FromFloat32s([]int{37, 6}, exact), head
			})
			edit(t, dir, map[string]any{"tie_word_embeddings": tie})
			return dir
		}
		same := tensor.FromFloat32s([]int{37, 6}, exact)
		changed := slices.Clone(exact)
		changed[elements-1]++
		other := tensor.FromFloat32s([]int{37, 6}, changed)

		want := importDir(t, stored(same, true))
		for what, head := range map[string]tensor.Tensor{"f32": same, "f16": same.Convert(tensor.F16), "f64": same.Convert(tensor.F64)} {
			for _, tie := range []any{true, nil} {
				sameAnswers(t, c.class+" with both in "+what, want, importDir(t, stored(head, tie)))
			}
		}
		for what, head := range map[string]tensor.Tensor{
			"another value": other, "another value in f16": other.Convert(tensor.F16),
			"another shape": tensor.FromFloat32s([]int{6, 37}, exact), "integers": tensor.FromInt32s([]int{37, 6}, make([]int32, elements)),
		} {
			for _, tie := range []any{true, nil} {
				if tie == nil && !c.def {
					continue
				}
				_, err := frontend.Import(open(t, stored(head, tie)))
				if fault.KindOf(err) != fault.Unsupported || !strings.Contains(err.Error(), c.head) || !strings.Contains(err.Error(), `"tie_word_embeddings": false`) {
					t.Errorf("%s, tied %v, with %s: error %v, want one of kind %d that names %s and the key", c.class, tie, what, err, fault.Unsupported, c.head)
				}
			}
		}

		untied := importDir(t, stored(other, false))
		if !slices.Equal(weightNamed(t, untied.Graph, c.head).Data.Float32s(), changed) || len(untied.Unclaimed) != 0 {
			t.Errorf("%s, not tied: the head has other values than %s", c.class, c.head)
		}
		if !c.def {
			sameAnswers(t, c.class+" that does not say", untied, importDir(t, stored(other, nil)))
		}
	}
}
