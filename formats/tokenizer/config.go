package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
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
	AddEOSToken          bool     `json:"add_eos_token"`

	specialNames
	moreNames
	AddedTokensDecoder map[string]tokenJSON `json:"added_tokens_decoder"`

	mapped moreNames   // of special_tokens_map.json
	own    []tokenName // special tokens with a role that is the model's own
	added  []addedJSON // added_tokens.json
	family family
	model  string // type of the model
}

// readConfig reads what stands beside the vocabulary. Of special_tokens_map.json and
// tokenizer_config.json the former wins, but with added_tokens_decoder in the latter transformers does not open it.
func readConfig(f Files) (c config, err error) {
	if f.TokenizerConfig != nil {
		if err := decode("tokenizer_config.json", f.TokenizerConfig, &c); err != nil {
			return c, err
		}
		if c.own, err = ownNames("tokenizer_config.json", f.TokenizerConfig); err != nil {
			return c, err
		}
	}
	if c.TokenizerClass == "" {
		c.TokenizerClass, c.model = f.ModelClass, f.ModelType
	}
	var m struct {
		specialNames
		moreNames
	}
	if f.SpecialTokensMap != nil {
		if err := decode("special_tokens_map.json", f.SpecialTokensMap, &m); err != nil {
			return c, err
		}
	}
	if c.added, err = readAddedTokens(f.AddedTokens); err != nil || c.AddedTokensDecoder != nil {
		return c, err
	}
	for i, n := range m.roles() {
		if n.Content != "" {
			*c.roles()[i] = *n
		}
	}
	c.mapped = m.moreNames
	if f.SpecialTokensMap != nil {
		own, err := ownNames("special_tokens_map.json", f.SpecialTokensMap)
		c.own = append(c.own, own...)
		return c, err
	}
	return c, nil
}

// class is the tokenizer class without the suffix of the Rust-backed ones.
func (c *config) class() string { return strings.TrimSuffix(c.TokenizerClass, "Fast") }

// A family is the classes that treat the files alike.
type family uint8

const (
	otherFamily   family = iota // takes tokenizer.json as it is, as far as known
	plainFamily                 // PreTrainedTokenizerFast takes it as it is
	backendFamily               // TokenizersBackend too, which is that of version 5
	bertFamily                  // goes by settings in tokenizer_config.json, or its own
	gptFamily
	robertaFamily
)

// rebuilds says whether version 5 takes only vocabulary and merges of tokenizer.json.
func (f family) rebuilds() bool { return f >= bertFamily }

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
var gptClasses = map[string]family{"GPT2Tokenizer": gptFamily, "RobertaTokenizer": robertaFamily}

// settle finds the family. Without a class transformers goes by the type of the model, which here is
// BERT's where the tokenizer is WordPiece, else RoBERTa's or GPT-2's: roberta says which.
func (c *config) settle(model modelKind, roberta bool) {
	_, bert := bertClasses[c.class()]
	gpt, ok := gptClasses[c.class()]
	switch {
	case bert || c.class() == "" && model == wordPiece:
		c.family = bertFamily
	case ok:
		c.family = gpt
	case c.class() == "" && (roberta || c.model == "roberta"):
		c.family = robertaFamily
	case c.class() == "":
		c.family = gptFamily
	case c.class() == "PreTrainedTokenizer":
		c.family = plainFamily
	case c.class() == "TokenizersBackend":
		c.family = backendFamily
	}
}

// apply puts into d what does not depend on where the vocabulary came from.
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
	d.typeIDs = c.returnsTypeIDs(d.model)
	d.modelMaxLength = c.modelMaxLength()
	return nil
}

// normalizer is what BERT's classes make of their settings. Where strip_accents is null it is as lowercase.
func (c *config) normalizer() normalizerOptions {
	o := normalizerOptions{on: true, cleanText: true, lowercase: valueOr(c.DoLowerCase, true)}
	o.stripAccents = valueOr(c.StripAccents, o.lowercase)
	o.chineseChars = valueOr(c.TokenizeChineseChars, true)
	return o
}

// applyClass puts into d, which is all that tokenizer.json says, what the class reads elsewhere or has of
// its own, as transformers 4 does. Version 5 rebuilds some classes from the vocabulary alone:
// what of tokenizer.json it drops by that must be what it puts there.
func (c *config) applyClass(d *definition, f *tokenizerFile) error {
	c.settle(d.model, d.single.specials() > 0)
	switch c.family {
	case bertFamily:
		return c.applyBERT(d, f)
	case gptFamily, robertaFamily:
		return c.applyGPT(d, f)
	case plainFamily:
		// Version 4.45 and later set this one to false where nothing is said.
		if want := valueOr(c.AddPrefixSpace, false); d.model == byteLevelBPE && d.addPrefixSpace != want {
			said := "says nothing, which is false"
			if c.AddPrefixSpace != nil {
				said = fmt.Sprintf("says %v", want)
			}
			return fault.Newf(fault.Unsupported, "add_prefix_space: tokenizer.json says %v, by which transformers 5 goes, and tokenizer_config.json %s, by which 4 does", d.addPrefixSpace, said).
				WithHint(`set "add_prefix_space" in tokenizer_config.json to what the model was trained with, and in tokenizer.json too`)
		}
	case otherFamily:
		return c.checkOther(d)
	}
	return nil
}

func (c *config) applyBERT(d *definition, f *tokenizerFile) error {
	m := &f.Model
	unk, cls, sep := c.Unk.or("[UNK]"), c.CLS.or("[CLS]"), c.Sep.or("[SEP]")
	single, pair := bertTemplates(m.Vocab.id(cls), m.Vocab.id(sep))
	switch {
	case d.model != wordPiece:
		return c.differs("the model BPE", "WordPiece")
	case !d.normalize.on:
		return c.differs("no normalizer", "BertNormalizer")
	case !d.normalize.cleanText:
		return c.differs("clean_text false", "true")
	case d.continuingPrefix != "##":
		return c.differs(fmt.Sprintf("continuing_subword_prefix %q", d.continuingPrefix), `"##"`)
	case d.maxWordChars != 100:
		return c.differs(fmt.Sprintf("max_input_chars_per_word %d", d.maxWordChars), "100")
	case m.Vocab.id(unk) != d.unk:
		return c.differs(fmt.Sprintf("unk_token %q", valueOr(m.UnkToken, "[UNK]")), strconv.Quote(unk))
	case !d.single.makes(single, c.returnsTypeIDs(d.model)) || !d.pair.makes(pair, c.returnsTypeIDs(d.model)):
		return c.differs("another post_processor", fmt.Sprintf("%s A %s B %s", cls, sep, sep))
	}
	d.normalize = c.normalizer()
	return nil
}

func (c *config) applyGPT(d *definition, f *tokenizerFile) error {
	v := f.Model.Vocab
	single, pair := robertaTemplates(v.id(c.CLS.or("<s>")), v.id(c.Sep.or("</s>")))
	switch {
	case d.model != byteLevelBPE:
		return c.differs("the model WordPiece", "BPE")
	case d.unk != noID && slices.Contains(d.byteID[:], noID):
		return c.differs(fmt.Sprintf("unk_token %q for bytes without a token", *f.Model.UnkToken), "none")
	case c.family == robertaFamily && (!d.single.makes(single, c.returnsTypeIDs(d.model)) || !d.pair.makes(pair, c.returnsTypeIDs(d.model))):
		return c.differs("another post_processor", "RobertaProcessing")
	}
	d.addPrefixSpace = valueOr(c.AddPrefixSpace, false)
	return nil
}

// differs is about what version 4 takes from tokenizer.json and version 5 does not.
func (c *config) differs(found, own string) error {
	class := c.TokenizerClass
	if class == "" {
		class = "none"
	}
	return fault.Newf(fault.Unsupported, "tokenizer.json has %s, by which transformers 4 goes, and tokenizer_class (%s) stands for %s, by which 5 does", found, class, own).
		WithHint(`if tokenizer.json is what the model was trained with, set "tokenizer_class" in tokenizer_config.json to "TokenizersBackend"`)
}

// checkOther wants settings, where there are any, to be those of tokenizer.json: what
// a class unknown here does with them is unknown too.
func (c *config) checkOther(d *definition) error {
	for _, s := range []struct {
		name   string
		value  *bool
		inFile bool
		heeded bool
	}{
		{"do_lower_case", c.DoLowerCase, d.normalize.lowercase, d.normalize.on},
		{"strip_accents", c.StripAccents, d.normalize.stripAccents, d.normalize.on},
		{"tokenize_chinese_chars", c.TokenizeChineseChars, d.normalize.chineseChars, d.normalize.on},
		{"add_prefix_space", c.AddPrefixSpace, d.addPrefixSpace, d.model == byteLevelBPE},
	} {
		if s.heeded && s.value != nil && *s.value != s.inFile {
			return fault.Newf(fault.Unsupported, "tokenizer_config.json: %s is %v, tokenizer.json says %v, and what tokenizer_class %q makes of that is not known", s.name, *s.value, s.inFile, c.TokenizerClass)
		}
	}
	return nil
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
