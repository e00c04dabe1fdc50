package compiler

import (
	"testing"

	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/tokenizer"
)

// TestTypesOfTexts: the plan's tokenizer makes type ids for a model that embeds types,
// and none for one that does not, whatever its files say.
func TestTypesOfTexts(t *testing.T) {
	c := &checkpoint.Checkpoint{Tokenizer: tokenizer.Files{
		VocabTxt:        []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n"),
		TokenizerConfig: []byte(`{"tokenizer_class": "BertTokenizer"}`),
	}}
	for types, want := range map[int]int32{0: 0, 2: 1} {
		data, err := ReadTokenizer(c, &plan.Model{VocabSize: 7, TypeVocabSize: types, MaxTokens: 9})
		if err != nil {
			t.Fatal(err)
		}
		made, err := tokenizer.Unmarshal(data)
		if err != nil {
			t.Fatal(err)
		}
		var enc tokenizer.Encoding
		pair := "b"
		if err := made.NewEncoder().Encode(&enc, "a", &pair, 0); err != nil {
			t.Fatal(err)
		}
		if got := enc.TypeIDs[len(enc.TypeIDs)-1]; got != want || made.ReturnsTypeIDs() != (types > 0) {
			t.Errorf("model of %d types: the second text is of type %d, want %d", types, got, want)
		}
	}
}
