package checkpoint

import (
	"encoding/json"
	"slices"
	"strings"

	"etc/fault"
)

// A Pooling is what the sentence-transformers files say about making one
// vector of a text's tokens.
type Pooling struct {
	Mode         string // "mean", "cls", "max", "mean_sqrt_len", "weightedmean" or "lasttoken"
	Normalize    bool   // to unit length
	MaxSeqLength int    // tokens, special ones included; 0 where the files do not say
	LowerCase    bool   // text is lowercased before the tokenizer sees it
}

// poolingModes are the keys of 1_Pooling/config.json with the modes they turn on.
var poolingModes = map[string]string{
	"pooling_mode_cls_token":            "cls",
	"pooling_mode_mean_tokens":          "mean",
	"pooling_mode_max_tokens":           "max",
	"pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
	"pooling_mode_weightedmean_tokens":  "weightedmean",
	"pooling_mode_lasttoken":            "lasttoken",
}

// lengthFiles hold max_seq_length. The name followed the model's type once;
// sentence-transformers looks for them in this order.
var lengthFiles = []string{
	"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
	"sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
}

const modulesFile = "modules.json"

// readPooling reads modules.json and the files it names; nil where there is
// no modules.json. A module or mode that is not known is fault.Unsupported.
func readPooling(dir string) (*Pooling, error) {
	data, err := readSmall(dir, modulesFile)
	if data == nil || err != nil {
		return nil, err
	}
	folder, normalize, err := parseModules(data)
	if err != nil {
		return nil, err
	}
	file := folder + "/config.json"
	if data, err = readSmall(dir, file); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fault.Newf(fault.Corrupt, "%s names %s, which is not there", modulesFile, file)
	}
	p := &Pooling{Normalize: normalize}
	if p.Mode, err = parsePoolingMode(file, data); err != nil {
		return nil, err
	}
	for _, file := range lengthFiles {
		if data, err = readSmall(dir, file); err != nil {
			return nil, err
		}
		if data != nil {
			return p, p.parseLength(file, data)
		}
	}
	return p, nil
}

// parseModules accepts Transformer, Pooling and perhaps Normalize, in this
// order, and returns the folder of Pooling.
func parseModules(data []byte) (folder string, normalize bool, err error) {
	var modules []struct{ Path, Type string }
	if err := checkJSON(data); err != nil {
		return "", false, fault.Newf(fault.Corrupt, "%s: %w", modulesFile, err)
	}
	if json.Unmarshal(data, &modules) != nil {
		return "", false, fault.Newf(fault.Corrupt, `%s holds %s, want an array of objects with "path" and "type"`, modulesFile, oneLine(data))
	}
	var kinds []string
	for _, m := range modules {
		kind := m.Type[strings.LastIndex(m.Type, ".")+1:]
		kinds = append(kinds, kind)
		if kind == "Pooling" {
			folder = m.Path
		}
		if kind == "Transformer" && m.Path != "" && m.Path != "." {
			return "", false, fault.Newf(fault.Unsupported, "%s: the Transformer is in the folder %q, want it beside %s", modulesFile, m.Path, modulesFile)
		}
	}
	known := []string{"Transformer", "Pooling", "Normalize"}
	if len(kinds) < 2 || !slices.Equal(kinds, known[:min(len(kinds), len(known))]) {
		return "", false, fault.Newf(fault.Unsupported, "%s: modules %q, supported are Transformer, Pooling and then perhaps Normalize", modulesFile, kinds)
	}
	if !isPlainName(folder) {
		return "", false, fault.Newf(fault.Corrupt, "%s: path %q of Pooling, want the name of a folder beside it", modulesFile, folder)
	}
	return folder, len(kinds) == len(known), nil
}

// parsePoolingMode returns the one mode that is on.
func parsePoolingMode(file string, data []byte) (string, error) {
	f, err := parseObject(file, data)
	if err != nil {
		return "", err
	}
	var on []string
	for key, raw := range f {
		if !strings.HasPrefix(key, "pooling_mode_") || string(raw) == "false" || string(raw) == "null" {
			continue
		}
		if string(raw) != "true" {
			return "", fault.Newf(fault.Corrupt, "%s: %q is %s, want true or false", file, key, oneLine(raw))
		}
		on = append(on, key)
	}
	slices.Sort(on)
	if len(on) == 0 {
		return "", fault.Newf(fault.Corrupt, "%s: no pooling mode is true, want one", file)
	}
	mode, ok := poolingModes[on[0]]
	if len(on) > 1 || !ok {
		return "", fault.Newf(fault.Unsupported, "%s: pooling by %q, supported is one of the known modes", file, on)
	}
	return mode, nil
}

func (p *Pooling) parseLength(file string, data []byte) error {
	f, err := parseObject(file, data)
	if err != nil {
		return err
	}
	c := Config{file: file, fields: f}
	p.MaxSeqLength = c.OptionalSize(0, "max_seq_length")
	p.LowerCase = c.Bool("do_lower_case", false)
	return c.Err()
}
