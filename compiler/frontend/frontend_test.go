package frontend_test

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
)

func open(t testing.TB, dir string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func importDir(t testing.TB, dir string) *frontend.Imported {
	t.Helper()
	im, err := frontend.Import(open(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4)) }

// goldens are one graph for each thing that a reader should see once.
var goldens = []struct {
	file, class string
	options     frontendtest.Options
}{
	{"bert_classification", "BertForSequenceClassification", frontendtest.Options{}},
	{"bert_embedding", "BertModel", frontendtest.Options{NoPrefix: true, GammaBeta: true}},
	{"distilbert_classification", "DistilBertForSequenceClassification", frontendtest.Options{}},
	{"gpt2_lm", "GPT2LMHeadModel", frontendtest.Options{}},
	{"gpt2_classification", "GPT2ForSequenceClassification", frontendtest.Options{NoPrefix: true, ScaleByLayer: true, Layers: 2}},
	{"transformer_lm", "TransformerModel", frontendtest.Options{}},
	{"transformer_lm_norm_first", "TransformerModel", frontendtest.Options{
		ExampleNames: true, NormFirst: true, FinalNorm: true, StoredPositions: true, Untied: true}},
}

func TestGraphsAreAsWritten(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.file, func(t *testing.T) {
			o := g.options
			o.Layers, o.Heads, o.HeadSize, o.Inner, o.Labels = max(o.Layers, 1), 3, 5, 11, 4
			im := importDir(t, frontendtest.Random(t, newRand(1), g.class, o))
			for _, op := range im.Graph.Ops {
				if a, ok := op.Attrs.(*ir.WeightAttrs); ok {
					a.Data = tensor.Tensor{} // random numbers are no part of it
				}
			}
			compareGolden(t, filepath.Join("testdata", g.file+".ir"), ir.Print(im.Graph))
		})
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n--- got\n%s--- want\n%s", file, got, want)
	}
}

func TestEveryClassRuns(t *testing.T) {
	for _, class := range frontendtest.Classes {
		for seed := range uint64(8) {
			rng := newRand(seed)
			im := importDir(t, frontendtest.Random(t, rng, class, frontendtest.RandomOptions(rng)))
			out, err := interp.Run(im.Graph, irtest.RandomInputs(rng, im.Graph))
			if err != nil {
				t.Fatalf("%s, seed %d: %v", class, seed, err)
			}
			for name, a := range out {
				for _, x := range a.F {
					if x-x != 0 {
						t.Fatalf("%s, seed %d: output %q holds %v", class, seed, name, x)
					}
				}
			}
		}
	}
}

// outputsOf lists the outputs of a graph as NAME TYPE WHEN.
func outputsOf(g *ir.Graph) []string {
	var list []string
	for _, o := range g.Outputs {
		list = append(list, o.Name+" "+o.Value.Type.String()+" "+o.When.String())
	}
	return list
}

func TestOutputsFollowTheTask(t *testing.T) {
	taps := []string{"layer.0 f32[T,6] tap", "layer.1 f32[T,6] tap", "layer.2 f32[T,6] tap"}
	classification := []string{"logits f32[B,4] output"}
	embedding := []string{"embedding f32[B,6] output", "hidden f32[T,6] ondemand"}
	languageModel := []string{"nll f32[T] output", "hit f32[T] output", "logits f32[T,37] ondemand", "last_logits f32[B,37] ondemand"}
	for class, want := range map[string][]string{
		"BertModel": embedding, "BertForSequenceClassification": classification,
		"DistilBertModel": embedding, "DistilBertForSequenceClassification": classification,
		"GPT2Model": embedding, "GPT2LMHeadModel": languageModel, "GPT2ForSequenceClassification": classification,
		"TransformerModel": languageModel,
	} {
		o := frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 3, Labels: 4}
		im := importDir(t, frontendtest.Random(t, newRand(1), class, o))
		want = append(slices.Clone(taps), want...)
		if got := outputsOf(im.Graph); !slices.Equal(got, want) {
			t.Errorf("%s: outputs %q, want %q", class, got, want)
		}
	}
}

func TestFactsOfTheModel(t *testing.T) {
	o := frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 3, Labels: 2}
	im := importDir(t, frontendtest.Random(t, newRand(1), "BertForSequenceClassification", o))
	m := im.Model
	if m.Architecture != "BertForSequenceClassification" || m.Task != plan.Classification || !slices.Equal(m.Labels, []string{"label 0", "label 1"}) ||
		m.MaxTokens != frontendtest.MaxLength || m.VocabSize != 37 || m.TypeVocabSize != 2 || m.PositionOffset != 0 || m.Layers != 2 || m.Hidden != 6 {
		t.Errorf("%+v", m)
	}
	im = importDir(t, frontendtest.Random(t, newRand(1), "BertModel", o))
	if want := []string{"bert.pooler.dense.weight", "bert.pooler.dense.bias"}; !sameSet(im.Unclaimed, want) {
		t.Errorf("unclaimed %q, want %q", im.Unclaimed, want)
	}
	if m := im.Model; m.Task != plan.Embedding || m.Labels != nil {
		t.Errorf("%+v", m)
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestProblemTypes(t *testing.T) {
	for _, c := range []struct {
		labels  int
		problem string
		want    plan.Task
	}{
		{1, "", plan.MultiLabel}, {1, "regression", plan.Regression}, {1, "single_label_classification", plan.MultiLabel},
		{3, "", plan.Classification}, {3, "single_label_classification", plan.Classification}, {3, "multi_label_classification", plan.MultiLabel},
	} {
		o := frontendtest.Options{Labels: c.labels, Problem: c.problem}
		im := importDir(t, frontendtest.Random(t, newRand(1), "DistilBertForSequenceClassification", o))
		if im.Model.Task != c.want || len(im.Model.Labels) != c.labels {
			t.Errorf("%d labels, problem_type %q: task %d with %d labels, want %d", c.labels, c.problem, im.Model.Task, len(im.Model.Labels), c.want)
		}
	}
}

func TestPooling(t *testing.T) {
	const (
		transformer = `{"path": "", "type": "sentence_transformers.models.Transformer"}`
		pooled      = transformer + `, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}`
		normalized  = pooled + `, {"path": "2_N", "type": "sentence_transformers.models.Normalize"}`
	)
	for _, c := range []struct {
		class, mode, modules string
		output, want         string
		kind                 fault.Kind
	}{
		{"BertModel", "pooling_mode_mean_tokens", pooled, "embedding", "pool", 0},
		{"BertModel", "pooling_mode_cls_token", pooled, "embedding", "select_rows", 0},
		{"BertModel", "pooling_mode_lasttoken", pooled, "embedding", "select_rows", 0},
		{"BertModel", "pooling_mode_mean_tokens", normalized, "embedding", "normalize", 0},
		{"BertModel", "pooling_mode_max_tokens", pooled, "", "", fault.Unsupported},
		{"BertModel", "pooling_mode_mean_tokens", transformer, "", "", fault.Unsupported},
		{"BertForSequenceClassification", "pooling_mode_mean_tokens", transformer, "logits", "linear", 0}, // a cross-encoder
	} {
		dir := frontendtest.Random(t, newRand(1), c.class, frontendtest.Options{})
		write(t, filepath.Join(dir, "modules.json"), "["+c.modules+"]")
		write(t, filepath.Join(dir, "1_Pooling", "config.json"), `{"`+c.mode+`": true}`)
		write(t, filepath.Join(dir, "sentence_bert_config.json"), `{"max_seq_length": 77}`)
		im, err := frontend.Import(open(t, dir))
		if c.kind != 0 {
			if fault.KindOf(err) != c.kind {
				t.Errorf("%s, %s: error %v, want kind %d", c.class, c.mode, err, c.kind)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(im.Graph.Outputs, func(o ir.Output) bool { return o.Name == c.output })
		if got := im.Graph.Outputs[i].Value.Def.Kind.String(); got != c.want || im.Model.MaxTokens != 77 {
			t.Errorf("%s, %s: %s is %s, want %s; at most %d tokens, want 77", c.class, c.mode, c.output, got, c.want, im.Model.MaxTokens)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// edit changes keys of config.json; a nil removes one.
func edit(t testing.TB, dir string, changes map[string]any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		if config[key] = value; value == nil {
			delete(config, key)
		}
	}
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text))
}

func TestMissingArchitecturesMeansTheBaseModel(t *testing.T) {
	for _, class := range []string{"BertModel", "DistilBertModel", "GPT2Model", "TransformerModel"} {
		dir := frontendtest.Random(t, newRand(1), class, frontendtest.Options{})
		edit(t, dir, map[string]any{"architectures": nil})
		if im := importDir(t, dir); im.Model.Architecture != class {
			t.Errorf("architecture %q, want %q", im.Model.Architecture, class)
		}
	}
}

func TestConfigsRefused(t *testing.T) {
	type config = map[string]any
	for _, c := range []struct {
		class string
		edit  config
		kind  fault.Kind
		says  string
	}{
		{"BertModel", config{"model_type": "t5"}, fault.Unsupported, `model_type "t5", supported are bert, distilbert, gpt2, transformer-lm`},
		{"BertModel", config{"model_type": nil}, fault.Unsupported, "supported are bert"},
		{"BertModel", config{"architectures": []string{"BertForPreTraining"}}, fault.Unsupported, `"BertForPreTraining" of model_type "bert", supported are BertModel, BertForSequenceClassification`},
		{"BertModel", config{"architectures": []string{"BertForMaskedLM"}}, fault.Unsupported, "comes in a later version"},
		{"BertModel", config{"architectures": []string{"BertForTokenClassification"}}, fault.Unsupported, "comes in a later version"},
		{"BertModel", config{"architectures": []string{"BertForQuestionAnswering"}}, fault.Unsupported, "comes in a later version"},
		{"BertModel", config{"architectures": "BertModel"}, fault.Corrupt, "architectures"},
		{"BertModel", config{"position_embedding_type": "relative_key"}, fault.Unsupported, `position_embedding_type "relative_key", supported is "absolute"`},
		{"BertModel", config{"is_decoder": true}, fault.Unsupported, "is_decoder true"},
		{"BertModel", config{"hidden_act": "silu"}, fault.Unsupported, `activation "silu", supported are`},
		{"BertModel", config{"hidden_act": "gelo"}, fault.Corrupt, `activation "gelo", which nobody knows`},
		{"BertModel", config{"hidden_act": 3}, fault.Corrupt, "hidden_act"},
		{"BertModel", config{"num_attention_heads": 4}, fault.Corrupt, "hidden size 15, want a multiple of the 4 heads"},
		{"BertModel", config{"num_attention_heads": 0}, fault.Corrupt, "num_attention_heads"},
		{"BertModel", config{"num_hidden_layers": 1000000000}, fault.Corrupt, "num_hidden_layers"},
		{"BertModel", config{"num_hidden_layers": 1025}, fault.Corrupt, "1025 layers, want at most 1024"},
		{"BertModel", config{"num_hidden_layers": 2}, fault.Corrupt, `"bert.encoder.layer.1.attention.self.query.weight" [15 15] is missing`},
		{"BertModel", config{"layer_norm_eps": 0}, fault.Corrupt, "layer_norm_eps"},
		{"BertModel", config{"layer_norm_eps": -1e-5}, fault.Corrupt, "layer_norm_eps"},
		{"BertModel", config{"hidden_size": nil}, fault.Corrupt, "hidden_size"},
		{"BertModel", config{"hidden_size": "15"}, fault.Corrupt, "hidden_size"},
		{"BertModel", config{"hidden_size": 30}, fault.Corrupt, "shape [37 15], want [37 30]"},
		{"BertModel", config{"vocab_size": 16777216}, fault.Corrupt, "shape [37 15], want [16777216 15]"},
		{"BertModel", config{"intermediate_size": 10}, fault.Corrupt, "intermediate.dense.weight\": shape [11 15], want [10 15]"},
		{"BertForSequenceClassification", config{"id2label": map[string]string{"0": "a", "1": "b"}}, fault.Corrupt, "classifier.weight\": shape [4 15], want [2 15]"},
		{"BertForSequenceClassification", config{"problem_type": "regression"}, fault.Unsupported, "regression of 4 values"},
		{"BertForSequenceClassification", config{"problem_type": "guess"}, fault.Corrupt, `problem_type "guess"`},
		{"DistilBertModel", config{"architectures": []string{"DistilBertForMaskedLM"}}, fault.Unsupported, "later"},
		{"DistilBertModel", config{"n_heads": 2}, fault.Corrupt, "multiple of the 2 heads"},
		{"GPT2LMHeadModel", config{"add_cross_attention": true}, fault.Unsupported, "add_cross_attention"},
		{"GPT2LMHeadModel", config{"n_inner": 10}, fault.Corrupt, "mlp.c_fc.weight\": shape [15 11], want [15 10]"},
		{"GPT2LMHeadModel", config{"tie_word_embeddings": false}, fault.Corrupt, "lm_head.weight"},
		{"GPT2ForSequenceClassification", config{"pad_token_id": "eos"}, fault.Corrupt, `"pad_token_id" is "eos", want an integer`},
		{"GPT2LMHeadModel", config{"scale_attn_weights": "yes"}, fault.Corrupt, "scale_attn_weights"},
		{"TransformerModel", config{"causal": false}, fault.Unsupported, "causal false"},
		{"TransformerModel", config{"position_embedding": "learned"}, fault.Unsupported, `"learned"`},
		{"TransformerModel", config{"final_norm": true}, fault.Corrupt, `norm.weight" [15] is missing`},
		{"TransformerModel", config{"max_position_embeddings": 16777216}, fault.Corrupt, "too many to compute"},
		{"TransformerModel", config{"tie_word_embeddings": false}, fault.Corrupt, "decoder.weight"},
	} {
		o := frontendtest.Options{Layers: 1, Heads: 3, HeadSize: 5, Inner: 11, Labels: 4}
		dir := frontendtest.Random(t, newRand(1), c.class, o)
		edit(t, dir, c.edit)
		_, err := frontend.Import(open(t, dir))
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), "\n") > 1 {
			t.Errorf("%s with %v: error %v, want one of kind %d with %q", c.class, c.edit, err, c.kind, c.says)
		}
	}
}

// TestPadding: only a class that reads the last token of a row cares for
// pad_token_id, and only for one that its vocabulary has.
func TestPadding(t *testing.T) {
	for _, c := range []struct {
		class string
		id    any
		want  []int
	}{
		{"GPT2ForSequenceClassification", 0, []int{0}},
		{"GPT2ForSequenceClassification", 36, []int{36}},
		{"GPT2ForSequenceClassification", 37, nil},
		{"GPT2ForSequenceClassification", -1, nil},
		{"GPT2ForSequenceClassification", nil, nil},
		{"GPT2Model", 0, nil},
		{"GPT2LMHeadModel", 0, nil},
		{"BertForSequenceClassification", 0, nil},
	} {
		dir := frontendtest.Random(t, newRand(1), c.class, frontendtest.Options{Layers: 1})
		edit(t, dir, map[string]any{"pad_token_id": c.id})
		if got := importDir(t, dir).Model.Padding; !slices.Equal(got, c.want) {
			t.Errorf("%s with pad_token_id %v: padding %v, want %v", c.class, c.id, got, c.want)
		}
	}
}

// TestNonsenseAllocatesNothing: sizes that no tensor of the file vouches for
// are refused before memory is taken for them.
func TestNonsenseAllocatesNothing(t *testing.T) {
	const limit = 2 << 20 // bytes: above what names, errors and a small graph take
	const huge = 3 * 5 << 20
	type config = map[string]any
	for _, c := range []struct {
		class string
		edit  config
	}{
		{"BertModel", config{"vocab_size": huge, "hidden_size": huge, "intermediate_size": huge}},
		{"BertModel", config{"num_hidden_layers": 1000000000}},
		{"BertForSequenceClassification", config{"id2label": nil, "num_labels": huge}},
		{"DistilBertModel", config{"max_position_embeddings": huge, "dim": huge}},
		{"GPT2LMHeadModel", config{"n_positions": huge, "n_embd": huge, "n_inner": huge}},
		{"TransformerModel", config{"max_position_embeddings": 1 << 22, "dim_feedforward": 10}},
		{"TransformerModel", config{"max_position_embeddings": 1 << 22, "vocab_size": 38}},
		{"TransformerModel", config{"max_position_embeddings": huge}},
		{"BertModel", config{"hidden_size": huge, "num_attention_heads": 1, "pruned_heads": config{"0": []int{0}}}},
	} {
		o := frontendtest.Options{Layers: 1, Heads: 3, HeadSize: 5, Inner: 11, Labels: 4}
		dir := frontendtest.Random(t, newRand(1), c.class, o)
		edit(t, dir, c.edit)
		source := open(t, dir)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := frontend.Import(source)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; fault.KindOf(err) != fault.Corrupt || n > limit {
			t.Errorf("%s with %v: error %v after %d bytes, want a corrupt fault within %d", c.class, c.edit, err, n, limit)
		}
	}
}

// withTensors writes the checkpoint of a class with its tensors changed by edit.
func withTensors(t *testing.T, class string, o frontendtest.Options, edit func(tensors map[string]tensor.Tensor)) string {
	t.Helper()
	dir := frontendtest.Random(t, newRand(1), class, o)
	c := open(t, dir)
	tensors := map[string]tensor.Tensor{}
	for _, name := range c.Names() {
		tensors[name], _ = c.Tensor(name)
	}
	edit(tensors)
	frontendtest.WriteTensors(t, dir, tensors)
	return dir
}

func TestWeightsRefused(t *testing.T) {
	const query = "bert.encoder.layer.0.attention.self.query.weight"
	for _, c := range []struct {
		edit func(map[string]tensor.Tensor)
		says string
	}{
		{func(w map[string]tensor.Tensor) { w[query+"s"] = w[query]; delete(w, query) }, `the nearest that nothing else uses is "` + query + `s"`},
		{func(w map[string]tensor.Tensor) {
			w[query] = tensor.FromFloat32s([]int{15, 14}, make([]float32, 15*14))
		}, `shape [15 14], want [15 15]`},
		{func(w map[string]tensor.Tensor) { w[query] = tensor.FromInt32s([]int{15, 15}, make([]int32, 15*15)) }, `dtype i32`},
		{func(w map[string]tensor.Tensor) {
			v := w[query].Float32s()
			v[16] = float32(nan())
			w[query] = tensor.FromFloat32s([]int{15, 15}, v)
		}, `"` + query + `": element [1 1] is NaN`},
	} {
		o := frontendtest.Options{Layers: 1, Heads: 3, HeadSize: 5}
		_, err := frontend.Import(open(t, withTensors(t, "BertModel", o, c.edit)))
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want %q", err, c.says)
		}
	}
}

func nan() float64 { var zero float64; return zero / zero }
