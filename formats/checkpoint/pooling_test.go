package checkpoint

import (
	"fmt"
	"strings"
	"testing"

	"etc/fault"
)

// embedding are the files of a model of sentence-transformers; a text that is "" is left out.
func embedding(t *testing.T, f poolingFiles) map[string][]byte {
	all := map[string][]byte{"config.json": []byte("{}"), "model.safetensors": weights(t, vector("w", 1))}
	for name, text := range map[string]string{
		"modules.json": f.modules, "1_Pooling/config.json": f.pooling, "2_Normalize/config.json": f.normalize,
		"sentence_bert_config.json": f.length, "config_sentence_transformers.json": f.sentence,
	} {
		if text != "" {
			all[name] = []byte(text)
		}
	}
	return all
}

type poolingFiles struct{ modules, pooling, normalize, length, sentence string }

const (
	transformer = `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}`
	pooled      = transformer + `, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}`
	normalized  = pooled + `, {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]`
	meanMode    = `{"word_embedding_dimension": 384, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}`
	// saved6 are modules as version 6 of sentence-transformers saves them.
	saved6 = `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
		{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
		{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.base.modules.normalize.Normalize"}]`
)

func TestPooling(t *testing.T) {
	for _, c := range []struct {
		files poolingFiles
		want  Pooling
	}{
		{poolingFiles{modules: normalized, pooling: meanMode, length: `{"max_seq_length": 256, "do_lower_case": false}`}, Pooling{"mean", true, 256, false}},
		{poolingFiles{modules: pooled + "]", pooling: `{"pooling_mode_cls_token": true}`}, Pooling{"cls", false, 0, false}},
		{poolingFiles{modules: pooled + "]", pooling: `{"pooling_mode_max_tokens": true, "include_prompt": true}`, length: `{"max_seq_length": null, "do_lower_case": true}`},
			Pooling{"max", false, 0, true}},
		{poolingFiles{modules: pooled + "]", pooling: `{"pooling_mode_mean_sqrt_len_tokens": true}`}, Pooling{"mean_sqrt_len_tokens", false, 0, false}},
		{poolingFiles{modules: pooled + "]", pooling: `{"word_embedding_dimension": 384}`}, Pooling{"mean", false, 0, false}},
		{poolingFiles{
			modules: saved6, pooling: `{"embedding_dimension": 384, "pooling_mode": "lasttoken", "include_prompt": true}`,
			normalize: `{"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}`,
			length:    `{"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}`,
			sentence:  `{"default_prompt_name": null, "prompts": {"query": "query: ", "document": ""}, "similarity_fn_name": "cosine"}`,
		}, Pooling{"lasttoken", true, 0, false}},
		{poolingFiles{modules: saved6, pooling: `{"pooling_mode": ["cls"], "pooling_mode_mean_tokens": true}`, sentence: `{"default_prompt_name": "document", "prompts": {"document": ""}}`},
			Pooling{"cls", true, 0, false}},
		{poolingFiles{modules: transformer + "]", length: `{"max_seq_length": 128}`}, Pooling{"", false, 128, false}},
	} {
		p := open(t, folder(t, embedding(t, c.files))).Pooling
		if p == nil || *p != c.want {
			t.Errorf("%+v: %v, want %v", c.files, p, c.want)
		}
	}
}

func TestModelsPooling(t *testing.T) {
	c := open(t, "../../../shared/models/all-MiniLM-L6-v2")
	if want := (Pooling{"mean", true, 256, false}); c.Pooling == nil || *c.Pooling != want {
		t.Errorf("%v, want %v", c.Pooling, want)
	}
}

func TestPoolingRefused(t *testing.T) {
	dense := pooled + `, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`
	for _, c := range []struct {
		files poolingFiles
		kind  fault.Kind
		want  string
	}{
		{poolingFiles{modules: dense}, fault.Unsupported, `modules ["Transformer" "Pooling" "Dense"], supported are`},
		{poolingFiles{modules: `[]`}, fault.Unsupported, "modules []"},
		{poolingFiles{modules: `[{"path": "", "type": "custom_st.Transformer"}]`}, fault.Unsupported, `modules ["custom_st.Transformer"]`},
		{poolingFiles{modules: strings.Replace(normalized, `"path": ""`, `"path": "0_BERT"`, 1)}, fault.Unsupported, `in the folder "0_BERT"`},
		{poolingFiles{modules: strings.Replace(normalized, "1_Pooling", "../x", 1)}, fault.Corrupt, `path "../x" of Pooling`},
		{poolingFiles{modules: strings.Replace(normalized, "2_Normalize", "", 1)}, fault.Corrupt, `path "" of Normalize`},
		{poolingFiles{modules: `{"a": 1}`}, fault.Corrupt, `modules.json holds {"a":1}, want an array of objects with "path" and "type"`},
		{poolingFiles{modules: `[{"path": 1}]`}, fault.Corrupt, `modules.json holds [{"path":1}], want`},
		{poolingFiles{modules: `[{"Path": "1_Pooling"}]`}, fault.Corrupt, `modules.json: "Path" is "path" in other letter case`},
		{poolingFiles{modules: `[`}, fault.Corrupt, "modules.json: not JSON: it ends too early"},
		{poolingFiles{modules: normalized}, fault.Corrupt, "names 1_Pooling/config.json, which is not there"},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode_cls_token": false}`}, fault.Corrupt, "no pooling mode is true"},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode_mean_tokens": 1}`}, fault.Corrupt, `"pooling_mode_mean_tokens" is 1, want`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode_star": true}`}, fault.Unsupported, `pooling by ["pooling_mode_star"]`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}`}, fault.Unsupported, `pooling by ["cls" "mean"]`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode": "star"}`}, fault.Unsupported, `pooling by ["star"]`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode": ["mean", "cls"]}`}, fault.Unsupported, `pooling by ["mean" "cls"]`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode": null}`}, fault.Corrupt, `"pooling_mode" is null, want`},
		{poolingFiles{modules: normalized, pooling: `{"pooling_mode": ""}`}, fault.Corrupt, `"pooling_mode" is "", want`},
		{poolingFiles{modules: normalized, pooling: meanMode, normalize: `{"module_input_name": "token_embeddings"}`}, fault.Unsupported,
			`"module_input_name" is "token_embeddings", supported is`},
		{poolingFiles{modules: normalized, pooling: meanMode, normalize: `{"module_output_name": 1}`}, fault.Corrupt, `"module_output_name" is 1, want`},
		{poolingFiles{modules: normalized, pooling: meanMode, length: `{"max_seq_length": 0}`}, fault.Corrupt, `sentence_bert_config.json: "max_seq_length" is 0, want`},
		{poolingFiles{modules: normalized, pooling: meanMode, length: `{"max_seq_length": 12.5}`}, fault.Corrupt, `is 12.5, want`},
		{poolingFiles{modules: normalized, pooling: meanMode, sentence: `{"truncate_dim": 128}`}, fault.Unsupported, `cut to 128 values (truncate_dim)`},
		{poolingFiles{modules: normalized, pooling: meanMode, sentence: `{"default_prompt_name": "q", "prompts": {"q": "query: "}}`}, fault.Unsupported, `a prompt before each text, "query: "`},
		{poolingFiles{modules: normalized, pooling: meanMode, sentence: `{"default_prompt_name": "q", "prompts": {"d": ""}}`}, fault.Corrupt, `no prompt "q"`},
		{poolingFiles{modules: normalized, pooling: meanMode, sentence: `{"default_prompt_name": "q", "prompts": [1]}`}, fault.Corrupt, `"prompts" is [1], want`},
		{poolingFiles{modules: normalized, pooling: meanMode, sentence: `{"default_prompt_name": 1}`}, fault.Corrupt, `"default_prompt_name" is 1, want`},
	} {
		_, err := Open(folder(t, embedding(t, c.files)))
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want kind %d and %q", c.files, err, c.kind, c.want)
		}
	}
}

// TestLowerCase: a tokenizer that is to lowercase text does it, or there is none.
func TestLowerCase(t *testing.T) {
	for _, c := range []struct {
		tokenizer, wanted bool
		ok                bool
	}{{true, true, true}, {true, false, true}, {false, false, true}, {false, true, false}} {
		files := embedding(t, poolingFiles{modules: pooled + "]", pooling: meanMode, length: fmt.Sprintf(`{"do_lower_case": %t}`, c.wanted)})
		files["vocab.txt"] = []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
		files["tokenizer_config.json"] = fmt.Appendf(nil, `{"tokenizer_class": "BertTokenizer", "do_lower_case": %t}`, c.tokenizer)
		tok, err := open(t, folder(t, files)).ReadTokenizer()
		if c.ok && (err != nil || tok == nil) || !c.ok && fault.KindOf(err) != fault.Unsupported {
			t.Errorf("%+v: %v, %v", c, tok, err)
		}
	}
}
