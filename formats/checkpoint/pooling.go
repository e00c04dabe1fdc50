package checkpoint

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"etc/fault"
	"etc/formats/strictjson"
	"etc/formats/tokenizer"
)

// A Pooling is what the sentence-transformers files say about making one
// vector of a text's tokens.
type Pooling struct {
	Mode         string // "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean" or "lasttoken"; "" where no module pools
	Normalize    bool   // to unit length
	MaxSeqLength int    // tokens, special ones included; 0 where the files do not say
	LowerCase    bool   // the tokenizer is to lowercase text, see ReadTokenizer
}

// poolingModes are the keys of 1_Pooling/config.json with the modes they turn
// on. Since version 6 of sentence-transformers a key "pooling_mode" names modes instead.
var poolingModes = map[string]string{
	"pooling_mode_cls_token":            "cls",
	"pooling_mode_mean_tokens":          "mean",
	"pooling_mode_max_tokens":           "max",
	"pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
	"pooling_mode_weightedmean_tokens":  "weightedmean",
	"pooling_mode_lasttoken":            "lasttoken",
}

// lengthFiles hold max_seq_length. The name followed the model's type once;
// sentence-transformers looks for them in this order.
var lengthFiles = []string{
	"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
	"sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
}

const (
	modulesFile  = "modules.json"
	sentenceFile = "config_sentence_transformers.json"
)

// readPooling reads modules.json, the files it names and those beside it; nil
// where there is no modules.json. What cannot be computed as sentence-transformers does, a
// module or mode that is not known among it, is fault.Unsupported.
func readPooling(dir string) (*Pooling, error) {
	data, err := readSmall(dir, modulesFile)
	if data == nil || err != nil {
		return nil, err
	}
	p := &Pooling{}
	m, err := parseModules(data)
	if err != nil {
		return nil, err
	}
	if m.pooling != "" {
		if p.Mode, err = readModule(dir, m.pooling, true, parsePoolingMode); err != nil {
			return nil, err
		}
	}
	if m.normalize != "" {
		p.Normalize = true
		if _, err = readModule(dir, m.normalize, false, parseNormalize); err != nil {
			return nil, err
		}
	}
	if data, err = readSmall(dir, sentenceFile); err != nil {
		return nil, err
	}
	if data != nil {
		if err := checkSentence(data); err != nil {
			return nil, err
		}
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

// readModule parses config.json of a module's folder. It may be absent where it need not be there.
func readModule(dir, folder string, needed bool, parse func(file string, f fields) (string, error)) (string, error) {
	file := folder + "/" + configFile
	data, err := readSmall(dir, file)
	switch {
	case err != nil:
		return "", err
	case data == nil && needed:
		return "", fault.Newf(fault.Corrupt, "%s names %s, which is not there", modulesFile, file)
	case data == nil:
		return "", nil
	}
	f, err := parseObject(file, data)
	if err != nil {
		return "", err
	}
	return parse(file, f)
}

// modules are the folders of the modules behind the Transformer, "" where there is none.
type modules struct{ pooling, normalize string }

// parseModules accepts Transformer, and behind it perhaps Pooling, and behind that
// perhaps Normalize.
func parseModules(data []byte) (m modules, err error) {
	var list []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	err = strictjson.Unmarshal(data, &list)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return m, fault.Newf(fault.Corrupt, `%s holds %s, want an array of objects with "path" and "type"`, modulesFile, oneLine(data))
	}
	if err != nil {
		return m, fault.Newf(fault.Corrupt, "%s: %w", modulesFile, err)
	}
	known := []string{"Transformer", "Pooling", "Normalize"}
	folders := []*string{new(string), &m.pooling, &m.normalize}
	var kinds []string
	for i, module := range list {
		kind := module.Type[strings.LastIndex(module.Type, ".")+1:]
		if !strings.HasPrefix(module.Type, "sentence_transformers.") {
			kind = module.Type // somebody's own code
		}
		kinds = append(kinds, kind)
		if i < len(folders) {
			*folders[i] = module.Path
		}
	}
	if len(kinds) == 0 || !slices.Equal(kinds, known[:min(len(kinds), len(known))]) {
		return m, fault.Newf(fault.Unsupported, "%s: modules %q, supported are Transformer, and then perhaps Pooling, and then perhaps Normalize", modulesFile, kinds)
	}
	if path := *folders[0]; path != "" && path != "." {
		return m, fault.Newf(fault.Unsupported, "%s: the Transformer is in the folder %q, want it beside %s", modulesFile, path, modulesFile)
	}
	for i := 1; i < len(kinds); i++ {
		if !isPlainName(*folders[i]) {
			return m, fault.Newf(fault.Corrupt, "%s: path %q of %s, want the name of a folder beside it", modulesFile, *folders[i], kinds[i])
		}
	}
	return m, nil
}

// parsePoolingMode returns the one mode that is on: mean where no key says anything.
func parsePoolingMode(file string, f fields) (string, error) {
	var on []string
	if raw, ok := f["pooling_mode"]; ok {
		var one string
		if json.Unmarshal(raw, &one) == nil && one != "" {
			on = []string{one}
		} else if json.Unmarshal(raw, &on) != nil || len(on) == 0 {
			return "", fault.Newf(fault.Corrupt, "%s: \"pooling_mode\" is %s, want the name of a mode", file, oneLine(raw))
		}
	} else {
		said := false
		for key, raw := range f {
			if !strings.HasPrefix(key, "pooling_mode_") || string(raw) == "null" {
				continue
			}
			said = true
			switch string(raw) {
			case "true":
				if mode, ok := poolingModes[key]; ok {
					key = mode
				}
				on = append(on, key)
			case "false":
			default:
				return "", fault.Newf(fault.Corrupt, "%s: %q is %s, want true or false", file, key, oneLine(raw))
			}
		}
		if !said {
			on = []string{"mean"}
		}
		slices.Sort(on)
	}
	if len(on) == 0 {
		return "", fault.Newf(fault.Corrupt, "%s: no pooling mode is true, want one", file)
	}
	if len(on) > 1 || !slices.Contains(slices.Collect(maps.Values(poolingModes)), on[0]) {
		return "", fault.Newf(fault.Unsupported, "%s: pooling by %q, supported is one of the known modes", file, on)
	}
	return on[0], nil
}

// parseNormalize checks that what is normalised is what was pooled.
func parseNormalize(file string, f fields) (string, error) {
	c := Config{file: file, fields: f}
	for _, key := range []string{"module_input_name", "module_output_name"} {
		if name := c.String(key, "sentence_embedding"); name != "sentence_embedding" && c.Err() == nil {
			return "", fault.Newf(fault.Unsupported, "%s: %q is %q, supported is sentence_embedding", file, key, name)
		}
	}
	return "", c.Err()
}

// checkSentence refuses what sentence-transformers would do to each text, or to each
// vector, before the modules and after them.
func checkSentence(data []byte) error {
	f, err := parseObject(sentenceFile, data)
	if err != nil {
		return err
	}
	c := Config{file: sentenceFile, fields: f}
	if c.Has("truncate_dim") {
		return fault.Newf(fault.Unsupported, "%s: vectors cut to %s values (truncate_dim); not supported", sentenceFile, oneLine(f["truncate_dim"])).
			WithHint("take \"truncate_dim\" out and cut them yourself")
	}
	name := c.String("default_prompt_name", "")
	if name == "" || c.Err() != nil {
		return c.Err()
	}
	prompts := map[string]*string{}
	if raw, ok := f["prompts"]; ok && json.Unmarshal(raw, &prompts) != nil {
		return fault.Newf(fault.Corrupt, "%s: \"prompts\" is %s, want texts by name", sentenceFile, oneLine(raw))
	}
	prompt := prompts[name]
	if prompt == nil {
		return fault.Newf(fault.Corrupt, "%s: no prompt %q, which default_prompt_name names", sentenceFile, name)
	}
	if *prompt != "" {
		return fault.Newf(fault.Unsupported, "%s: a prompt before each text, %q; not supported", sentenceFile, *prompt).
			WithHint("put it before the texts yourself and set \"default_prompt_name\" to null")
	}
	return nil
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

// ReadTokenizer makes the tokenizer; nil where c has none and takes rows of ids only.
// One that is to lowercase text and does not is fault.Unsupported.
func (c *Checkpoint) ReadTokenizer() (*tokenizer.Tokenizer, error) {
	t, err := tokenizer.New(c.Tokenizer)
	if err == nil && t != nil && c.Pooling != nil && c.Pooling.LowerCase && !t.Lowercases() {
		return nil, fault.Newf(fault.Unsupported, "the sentence-transformers files want lowercased text (do_lower_case), which this tokenizer does not make").
			WithHint("lowercase the texts yourself and set \"do_lower_case\" to false")
	}
	return t, err
}
