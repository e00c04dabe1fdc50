package tokenizer

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"etc/fault"
)

// readVocabTxt reads a BERT vocabulary, one token a line, its line the id. Of a
// token that comes twice the later line counts, as in transformers.
func readVocabTxt(file []byte, c config) (definition, error) {
	if _, known := bertClasses[c.class()]; !known && c.TokenizerClass != "" {
		return definition{}, unsupportedClass("vocab.txt", c.TokenizerClass, slices.Sorted(maps.Keys(bertClasses)))
	}
	if !utf8.Valid(file) {
		return definition{}, fault.Newf(fault.Corrupt, "vocab.txt: not UTF-8")
	}
	v, line := vocabulary{}, int32(0)
	for text := range bytes.Lines(file) {
		v[string(bytes.TrimRight(text, "\r\n"))] = line
		line++
	}
	d := definition{model: wordPiece, continuingPrefix: "##", maxWordChars: 100}
	d.normalize = normalizerOptions{on: true, cleanText: true, chineseChars: true, stripAccents: true, lowercase: true}
	if err := d.setVocabulary("vocab.txt", v); err != nil {
		return d, err
	}
	unk, cls, sep := c.Unk.or("[UNK]"), c.CLS.or("[CLS]"), c.Sep.or("[SEP]")
	if err := v.need("vocab.txt", unk, cls, sep); err != nil {
		return d, err
	}
	d.unk = v.id(unk)
	d.single, d.pair = bertTemplates(v.id(cls), v.id(sep))
	special := []addedJSON{{Content: unk}, {Content: sep}, {Content: c.Pad.or("[PAD]")}, {Content: cls}, {Content: c.Mask.or("[MASK]")}}
	return d, d.addSpecial("vocab.txt", v, special, c)
}

// readVocabJSON reads the vocabulary and merges of GPT-2 or RoBERTa.
func readVocabJSON(file, merges []byte, c config) (definition, error) {
	d := definition{model: byteLevelBPE, unk: noID, single: plainSingle, pair: plainPair, addPrefixSpace: valueOr(c.AddPrefixSpace, false)}
	if c.TokenizerClass != "" && !slices.Contains(gptClasses, c.class()) {
		return d, unsupportedClass("vocab.json", c.TokenizerClass, gptClasses)
	}
	var v vocabulary
	if err := decode("vocab.json", file, &v); err != nil {
		return d, err
	}
	if v == nil {
		return d, fault.Newf(fault.Corrupt, "vocab.json: %w", errVocabulary)
	}
	if err := d.setVocabulary("vocab.json", v); err != nil {
		return d, err
	}
	rules, err := readMergesTxt(merges)
	if err != nil {
		return d, err
	}
	if err := d.setMerges("merges.txt", v, rules); err != nil {
		return d, err
	}
	if c.class() == "RobertaTokenizer" || c.TokenizerClass == "" && c.CLS != "" {
		return d, d.addRoberta(v, c)
	}
	if c.AddBOSToken {
		return d, fault.Newf(fault.Unsupported, "tokenizer_config.json: add_bos_token is true, supported is false")
	}
	const end = "<|endoftext|>"
	return d, d.addSpecial("vocab.json", v, []addedJSON{{Content: c.Unk.or(end)}, {Content: c.BOS.or(end)}, {Content: c.EOS.or(end)}}, c)
}

func (d *definition) addRoberta(v vocabulary, c config) error {
	cls, sep := c.CLS.or("<s>"), c.Sep.or("</s>")
	if err := v.need("vocab.json", cls, sep); err != nil {
		return err
	}
	d.single, d.pair = robertaTemplates(v.id(cls), v.id(sep))
	return d.addSpecial("vocab.json", v, []addedJSON{{Content: cls}, {Content: sep}, {Content: c.Unk.or("<unk>")},
		{Content: c.Pad.or("<pad>")}, {Content: c.Mask.or("<mask>"), LStrip: true}}, c)
}

// readMergesTxt reads merges, one a line; lines that begin with #version are skipped.
func readMergesTxt(file []byte) ([]mergeJSON, error) {
	if file == nil {
		return nil, fault.Newf(fault.Corrupt, "vocab.json has no merges.txt beside it")
	}
	if !utf8.Valid(file) {
		return nil, fault.Newf(fault.Corrupt, "merges.txt: not UTF-8")
	}
	var merges []mergeJSON
	number := 0
	for text := range bytes.Lines(file) {
		number++
		line := string(bytes.TrimRight(text, "\r\n"))
		if strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, fault.Newf(fault.Corrupt, "merges.txt: line %d: %q is not two tokens", number, line)
		}
		merges = append(merges, mergeJSON{left, right})
	}
	return merges, nil
}

func unsupportedClass(file, found string, supported []string) error {
	return fault.Newf(fault.Unsupported, "%s: tokenizer_class %q, supported: %s", file, found, strings.Join(supported, ", "))
}

func (v vocabulary) need(file string, tokens ...string) error {
	for _, token := range tokens {
		if v.id(token) == noID {
			return fault.Newf(fault.Corrupt, "%s: special token %q is not in the vocabulary", file, token)
		}
	}
	return nil
}

// addSpecial adds the special tokens that the vocabulary has, and before
// them those that added_tokens_decoder of tokenizer_config.json describes.
func (d *definition) addSpecial(file string, v vocabulary, special []addedJSON, c config) error {
	listed := map[string]bool{}
	var tokens []addedJSON
	for key, a := range c.AddedTokensDecoder {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fault.Newf(fault.Corrupt, "tokenizer_config.json: added_tokens_decoder has the id %q", key)
		}
		a.ID = &id
		tokens = append(tokens, a)
		listed[a.Content] = true
	}
	slices.SortFunc(tokens, func(a, b addedJSON) int { return int(*a.ID - *b.ID) })
	for _, a := range special {
		id := int64(v.id(a.Content))
		if id == int64(noID) || listed[a.Content] {
			continue
		}
		a.ID = &id
		tokens = append(tokens, a)
		listed[a.Content] = true
	}
	return d.addTokens(file, tokens)
}
