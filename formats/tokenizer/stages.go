package tokenizer

import (
	"encoding/json"
	"fmt"

	"etc/fault"
)

// stageType is the type of a normalizer, pre-tokenizer or post-processor.
func stageType(stage json.RawMessage) (string, error) {
	var s struct {
		Type string `json:"type"`
	}
	err := decode("tokenizer.json", stage, &s)
	return s.Type, err
}

func unsupportedStage(stage, found, supported string) error {
	return fault.Newf(fault.Unsupported, "tokenizer.json: %s %q, supported: %s", stage, found, supported)
}

// readNormalizer wants BertNormalizer or none; after BPE none.
func (d *definition) readNormalizer(stage json.RawMessage) error {
	if !present(stage) {
		return nil
	}
	kind, err := stageType(stage)
	if err != nil {
		return err
	}
	if d.model == byteLevelBPE {
		return unsupportedStage("normalizer", kind, "none before BPE")
	}
	if kind != "BertNormalizer" {
		return unsupportedStage("normalizer", kind, "BertNormalizer or none")
	}
	o := struct {
		CleanText    bool  `json:"clean_text"`
		ChineseChars bool  `json:"handle_chinese_chars"`
		StripAccents *bool `json:"strip_accents"`
		Lowercase    bool  `json:"lowercase"`
	}{CleanText: true, ChineseChars: true, Lowercase: true}
	if err := decode("tokenizer.json", stage, &o); err != nil {
		return err
	}
	d.normalize = normalizerOptions{
		on:           true,
		cleanText:    o.CleanText,
		chineseChars: o.ChineseChars,
		stripAccents: valueOr(o.StripAccents, o.Lowercase),
		lowercase:    o.Lowercase,
	}
	return nil
}

// readPreTokenizer wants the one that each model has here.
func (d *definition) readPreTokenizer(stage json.RawMessage) error {
	o := struct {
		Type           string `json:"type"`
		AddPrefixSpace bool   `json:"add_prefix_space"`
		UseRegex       bool   `json:"use_regex"`
	}{Type: "none", AddPrefixSpace: true, UseRegex: true}
	if present(stage) {
		if err := decode("tokenizer.json", stage, &o); err != nil {
			return err
		}
	}
	switch {
	case d.model == wordPiece && o.Type != "BertPreTokenizer":
		return unsupportedStage("pre_tokenizer", o.Type, "BertPreTokenizer before WordPiece")
	case d.model == byteLevelBPE && o.Type != "ByteLevel":
		return unsupportedStage("pre_tokenizer", o.Type, "ByteLevel before BPE")
	case d.model == byteLevelBPE && !o.UseRegex:
		return unsupportedStage("pre_tokenizer", "ByteLevel without use_regex", "ByteLevel with it")
	}
	d.addPrefixSpace = d.model == byteLevelBPE && o.AddPrefixSpace
	return nil
}

// readPostProcessor sets the templates. ByteLevel moves offsets only.
func (d *definition) readPostProcessor(stage json.RawMessage) error {
	if !present(stage) {
		return nil
	}
	kind, err := stageType(stage)
	if err != nil {
		return err
	}
	switch kind {
	case "ByteLevel":
		return nil
	case "TemplateProcessing":
		return d.readTemplates(stage)
	case "BertProcessing", "RobertaProcessing":
		return d.readClassicProcessing(stage, kind)
	}
	return unsupportedStage("post_processor", kind, "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel or none")
}

// readClassicProcessing reads the two that came before templates. Both name
// their tokens as [text, id].
func (d *definition) readClassicProcessing(stage json.RawMessage, kind string) error {
	var o struct {
		Sep *namedID `json:"sep"`
		CLS *namedID `json:"cls"`
	}
	if err := decode("tokenizer.json", stage, &o); err != nil {
		return err
	}
	if o.Sep == nil || o.CLS == nil {
		return fault.Newf(fault.Corrupt, `tokenizer.json: %s without "sep" or "cls"`, kind)
	}
	sep, cls := int32(*o.Sep), int32(*o.CLS)
	if kind == "BertProcessing" {
		d.single, d.pair = bertTemplates(cls, sep)
	} else {
		d.single, d.pair = robertaTemplates(cls, sep)
	}
	return nil
}

// A namedID is written as ["[CLS]", 101].
type namedID int32

func (n *namedID) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) != 2 || parts[0][0] != '"' || json.Unmarshal(parts[1], (*int32)(n)) != nil {
		return fmt.Errorf(`%s, want ["token", id]`, b)
	}
	return nil
}

// bertTemplates are [CLS] A [SEP] and [CLS] A [SEP] B [SEP], with types 0 and 1.
func bertTemplates(cls, sep int32) (single, pair template) {
	single = template{{kind: pieceSpecial, id: cls}, {kind: pieceText}, {kind: pieceSpecial, id: sep}}
	pair = append(single[:3:3], piece{kind: piecePair, typeID: 1}, piece{kind: pieceSpecial, id: sep, typeID: 1})
	return single, pair
}

// robertaTemplates are <s> A </s> and <s> A </s></s> B </s>, all of type 0.
func robertaTemplates(cls, sep int32) (single, pair template) {
	single = template{{kind: pieceSpecial, id: cls}, {kind: pieceText}, {kind: pieceSpecial, id: sep}}
	pair = append(single[:3:3], piece{kind: pieceSpecial, id: sep}, piece{kind: piecePair}, piece{kind: pieceSpecial, id: sep})
	return single, pair
}

type templateJSON []struct {
	Sequence     *partJSON `json:"Sequence"`
	SpecialToken *partJSON `json:"SpecialToken"`
}

type partJSON struct {
	ID     string `json:"id"`
	TypeID int32  `json:"type_id"`
}

func (d *definition) readTemplates(stage json.RawMessage) error {
	var o struct {
		Single  templateJSON `json:"single"`
		Pair    templateJSON `json:"pair"`
		Special map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := decode("tokenizer.json", stage, &o); err != nil {
		return err
	}
	ids := make(map[string][]int32, len(o.Special))
	for name, s := range o.Special {
		ids[name] = s.IDs
	}
	var err error
	if d.single, err = o.Single.template(ids); err != nil {
		return err
	}
	d.pair, err = o.Pair.template(ids)
	return err
}

// template resolves names. ids are those of the special tokens, each of which may be several.
func (t templateJSON) template(ids map[string][]int32) (template, error) {
	var out template
	for _, p := range t {
		if len(out) > maxPieces {
			break // definition.check refuses it; the rest could be without end
		}
		switch {
		case p.Sequence != nil && p.Sequence.ID == "A":
			out = append(out, piece{kind: pieceText, typeID: p.Sequence.TypeID})
		case p.Sequence != nil && p.Sequence.ID == "B":
			out = append(out, piece{kind: piecePair, typeID: p.Sequence.TypeID})
		case p.SpecialToken != nil && ids[p.SpecialToken.ID] != nil:
			for _, id := range ids[p.SpecialToken.ID][:min(maxPieces+1, len(ids[p.SpecialToken.ID]))] {
				out = append(out, piece{kind: pieceSpecial, id: id, typeID: p.SpecialToken.TypeID})
			}
		default:
			return nil, fault.Newf(fault.Corrupt, "tokenizer.json: template has a piece that is neither sequence A or B nor one of its special tokens")
		}
	}
	return out, nil
}
