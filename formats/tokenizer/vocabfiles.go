package tokenizer

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"etc/fault"
)

// readVocabTxt reads a BERT vocabulary, one token a line, its line the id. Of a
// token that comes twice the later line counts, as in transformers.
func readVocabTxt(file []byte, c *config) (definition, error) {
	if c.settle(wordPiece, false); c.family != bertFamily {
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
	d.normalize = c.normalizer()
	if err := d.setVocabulary("vocab.txt", v); err != nil {
		return d, err
	}
	unk, cls, sep := c.Unk.or("[UNK]"), c.CLS.or("[CLS]"), c.Sep.or("[SEP]")
	if err := v.need("vocab.txt", unk, cls, sep); err != nil {
		return d, err
	}
	d.unk = v.id(unk)
	d.single, d.pair = bertTemplates(v.id(cls), v.id(sep))
	return d, c.addAll(&d, "vocab.txt", v, nil)
}

// readVocabJSON reads the vocabulary and merges of GPT-2 or RoBERTa.
func readVocabJSON(file, merges []byte, c *config) (definition, error) {
	d := definition{model: byteLevelBPE, unk: noID, single: plainSingle, pair: plainPair, addPrefixSpace: valueOr(c.AddPrefixSpace, false)}
	if c.settle(byteLevelBPE, c.CLS.Content != ""); c.family != gptFamily && c.family != robertaFamily {
		return d, unsupportedClass("vocab.json", c.TokenizerClass, slices.Sorted(maps.Keys(gptClasses)))
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
	for _, setting := range []struct {
		name string
		on   bool
	}{{"add_bos_token", c.AddBOSToken}, {"add_eos_token", c.AddEOSToken}} {
		if setting.on && c.family == gptFamily {
			return d, fault.Newf(fault.Unsupported, "tokenizer_config.json: %s is true, supported is false", setting.name)
		}
	}
	if c.family == robertaFamily {
		cls, sep := c.CLS.or("<s>"), c.Sep.or("</s>")
		if err := v.need("vocab.json", cls, sep); err != nil {
			return d, err
		}
		d.single, d.pair = robertaTemplates(v.id(cls), v.id(sep))
	}
	return d, c.addAll(&d, "vocab.json", v, nil)
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
