package checkpoint

import (
	"strings"
	"testing"

	"etc/fault"
)

// embedding are the files of a model of sentence-transformers; a text that is "" is left out.
func embedding(t *testing.T, modules, pooling, length string) map[string][]byte {
	all := map[string][]byte{"config.json": []byte("{}"), "model.safetensors": weights(t, vector("w", 1))}
	for name, text := range map[string]string{"modules.json": modules, "1_Pooling/config.json": pooling, "sentence_bert_config.json": length} {
		if text != "" {
			all[name] = []byte(text)
		}
	}
	return all
}

const (
	transformerPooling = `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
		{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}`
	normalized = transformerPooling + `, {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]`
	meanMode   = `{"word_embedding_dimension": 384, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}`
)

func TestPooling(t *testing.T) {
	for _, c := range []struct {
		modules, pooling, length string
		want                     Pooling
	}{
		{normalized, meanMode, `{"max_seq_length": 256, "do_lower_case": false}`, Pooling{"mean", true, 256, false}},
		{transformerPooling + "]", `{"pooling_mode_cls_token": true}`, "", Pooling{"cls", false, 0, false}},
		{transformerPooling + "]", `{"pooling_mode_max_tokens": true, "include_prompt": true}`, `{"max_seq_length": null, "do_lower_case": true}`, Pooling{"max", false, 0, true}},
	} {
		p := open(t, folder(t, embedding(t, c.modules, c.pooling, c.length))).Pooling
		if p == nil || *p != c.want {
			t.Errorf("%s %s: %v, want %v", c.pooling, c.length, p, c.want)
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
	dense := transformerPooling + `, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`
	for _, c := range []struct {
		modules, pooling, length string
		kind                     fault.Kind
		want                     string
	}{
		{dense, meanMode, "", fault.Unsupported, `modules ["Transformer" "Pooling" "Dense"], supported are`},
		{`[]`, meanMode, "", fault.Unsupported, "modules []"},
		{`[{"path": "", "type": "x.Transformer"}]`, meanMode, "", fault.Unsupported, `modules ["Transformer"]`},
		{strings.Replace(normalized, `"path": ""`, `"path": "0_BERT"`, 1), meanMode, "", fault.Unsupported, `in the folder "0_BERT"`},
		{strings.Replace(normalized, "1_Pooling", "../x", 1), meanMode, "", fault.Corrupt, `path "../x" of Pooling`},
		{`{"a": 1}`, meanMode, "", fault.Corrupt, `modules.json holds {"a":1}, want an array of objects with "path" and "type"`},
		{`[{"path": 1}]`, meanMode, "", fault.Corrupt, `modules.json holds [{"path":1}], want`},
		{`[`, meanMode, "", fault.Corrupt, "modules.json: not JSON: it ends too early"},
		{normalized, "", "", fault.Corrupt, "names 1_Pooling/config.json, which is not there"},
		{normalized, `{}`, "", fault.Corrupt, "no pooling mode is true"},
		{normalized, `{"pooling_mode_mean_tokens": 1}`, "", fault.Corrupt, `"pooling_mode_mean_tokens" is 1, want`},
		{normalized, `{"pooling_mode_star": true}`, "", fault.Unsupported, `pooling by ["pooling_mode_star"]`},
		{normalized, `{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}`, "", fault.Unsupported,
			`pooling by ["pooling_mode_cls_token" "pooling_mode_mean_tokens"]`},
		{normalized, meanMode, `{"max_seq_length": 0}`, fault.Corrupt, `sentence_bert_config.json: "max_seq_length" is 0, want`},
		{normalized, meanMode, `{"max_seq_length": 12.5}`, fault.Corrupt, `is 12.5, want`},
	} {
		_, err := Open(folder(t, embedding(t, c.modules, c.pooling, c.length)))
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s %s: %v, want kind %d and %q", c.modules, c.pooling, c.length, err, c.kind, c.want)
		}
	}
}
