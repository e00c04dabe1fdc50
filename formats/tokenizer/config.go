package tokenizer

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"etc/fault"
)

// A config is what tokenizer_config.json and special_tokens_map.json say that
// this package heeds.
type config struct {
	TokenizerClass       string   `json:"tokenizer_class"`
	ModelInputNames      []string `json:"model_input_names"`
	ModelMaxLength       *float64 `json:"model_max_length"`
	TruncationSide       string   `json:"truncation_side"`
	SplitSpecialTokens   bool     `json:"split_special_tokens"`
	DoLowerCase          *bool    `json:"do_lower_case"`
	StripAccents         *bool    `json:"strip_accents"`
	TokenizeChineseChars *bool    `json:"tokenize_chinese_chars"`
	AddPrefixSpace       *bool    `json:"add_prefix_space"`
	AddBOSToken          bool     `json:"add_bos_token"`

	specialNames
	AddedTokensDecoder map[string]addedJSON `json:"added_tokens_decoder"`
}

// specialNames are the special tokens by role, empty where none is named.
type specialNames struct {
	Unk  tokenName `json:"unk_token"`
	BOS  tokenName `json:"bos_token"`
	EOS  tokenName `json:"eos_token"`
	CLS  tokenName `json:"cls_token"`
	Sep  tokenName `json:"sep_token"`
	Pad  tokenName `json:"pad_token"`
	Mask tokenName `json:"mask_token"`
}

// A tokenName is a token, written as a string or as an object with its content.
type tokenName string

func (n *tokenName) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var object struct {
			Content string `json:"content"`
		}
		err := json.Unmarshal(b, &object)
		*n = tokenName(object.Content)
		return err
	}
	return json.Unmarshal(b, (*string)(n))
}

func (n tokenName) or(standard string) string {
	if n == "" {
		return standard
	}
	return string(n)
}

// readConfig reads both files; tokenizer_config.json wins.
func readConfig(f Files) (config, error) {
	var c config
	if f.SpecialTokensMap != nil {
		if err := decode("special_tokens_map.json", f.SpecialTokensMap, &c.specialNames); err != nil {
			return c, err
		}
	}
	if f.TokenizerConfig != nil {
		if err := decode("tokenizer_config.json", f.TokenizerConfig, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// class is the tokenizer class without the suffix of the Rust-backed ones.
func (c *config) class() string { return strings.TrimSuffix(c.TokenizerClass, "Fast") }

// bertClasses split text as BERT does and take its settings from
// tokenizer_config.json; typeIDs says whether they return type ids.
var bertClasses = map[string]struct{ typeIDs bool }{
	"BertTokenizer":        {typeIDs: true},
	"ConvBertTokenizer":    {typeIDs: true},
	"DistilBertTokenizer":  {},
	"ElectraTokenizer":     {typeIDs: true},
	"MobileBertTokenizer":  {typeIDs: true},
	"SqueezeBertTokenizer": {typeIDs: true},
}

// gptClasses are byte-level BPE and take add_prefix_space from tokenizer_config.json.
var gptClasses = []string{"GPT2Tokenizer", "RobertaTokenizer"}

// apply puts into d what does not depend on where the vocabulary came from.
// A setting that the class reads from tokenizer_config.json wins over tokenizer.json, as in transformers.
func (c *config) apply(d *definition) error {
	if c.SplitSpecialTokens {
		return fault.Newf(fault.Unsupported, "tokenizer_config.json: split_special_tokens is true, supported is false")
	}
	switch c.TruncationSide {
	case "", "right":
	case "left":
		d.truncateLeft = true
	default:
		return fault.Newf(fault.Corrupt, "tokenizer_config.json: truncation_side %q, want left or right", c.TruncationSide)
	}
	_, bert := bertClasses[c.class()]
	if bert && d.normalize.on {
		c.applyNormalizer(&d.normalize)
	}
	if slices.Contains(gptClasses, c.class()) && c.AddPrefixSpace != nil {
		d.addPrefixSpace = *c.AddPrefixSpace
	}
	d.typeIDs = c.returnsTypeIDs(d.model)
	d.modelMaxLength = c.modelMaxLength()
	return nil
}

// applyNormalizer follows the order null means: strip_accents as lowercase.
func (c *config) applyNormalizer(o *normalizerOptions) {
	if c.DoLowerCase != nil && *c.DoLowerCase != o.lowercase {
		o.lowercase = *c.DoLowerCase
		o.stripAccents = o.lowercase
	}
	if c.StripAccents != nil {
		o.stripAccents = *c.StripAccents
	}
	if c.TokenizeChineseChars != nil {
		o.chineseChars = *c.TokenizeChineseChars
	}
}

// returnsTypeIDs follows the class's model_input_names. Without a class
// transformers goes by the model, and of the models here those with WordPiece have types.
func (c *config) returnsTypeIDs(model modelKind) bool {
	if c.ModelInputNames != nil {
		return slices.Contains(c.ModelInputNames, "token_type_ids")
	}
	if c.TokenizerClass == "" {
		return model == wordPiece
	}
	return bertClasses[c.class()].typeIDs
}

// modelMaxLength is 0 for what no model has: nothing, a fraction, or
// transformers' 1e30 for "none".
func (c *config) modelMaxLength() int {
	n := c.ModelMaxLength
	if n == nil || *n < 1 || *n > math.MaxInt32 || *n != math.Trunc(*n) {
		return 0
	}
	return int(*n)
}
